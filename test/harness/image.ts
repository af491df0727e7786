/**
 * An image, as a container runtime sees it once it is unpacked: layers (folders, never written to) and the
 * part of the OCI image configuration that decides how a container starts.
 */
export type ImageConfig = {
  entrypoint?: string[]
  cmd?: string[]
  env?: string[]
  workingDir?: string
  /** `user[:group]`, by name or number. */
  user?: string
  stopSignal?: string
}

export type Image = {
  /** Folders from the lowest layer to the uppermost. */
  layers: string[]
  config: ImageConfig
}

export type Images = Record<string, Image>

/** The `image:` of a container, with or without tag; the harness pulls nothing. */
export function findImage(images: Images, reference: string): Image {
  const image = images[reference] ?? images[reference.replace(/:[^:/]*$/, '')]
  if (image === undefined)
    throw new Error(
      `no image ${reference}: the harness was given ${Object.keys(images).join(', ') || 'none'}`,
    )
  return image
}
