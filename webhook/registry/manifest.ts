/**
 * Manifests and image configurations, as far as the entry point needs them. They come from a server that a pod's owner
 * chose: everything is looked at before it is used.
 * https://github.com/opencontainers/image-spec/blob/main/image-index.md, manifest.md, config.md
 */
import { isText, isRecord, listOf, optional, recordOf } from '../shape.ts'
import { digestForm } from './reference.ts'

export type Descriptor = {
  digest: string
  mediaType?: string | null
  platform?: { os: string; architecture: string; variant?: string | null } | null
}

export type Manifest =
  | { kind: 'index'; manifests: Descriptor[] }
  | { kind: 'image'; config: Descriptor }
  | { kind: 'unusable'; why: string }

const indexTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]
const imageTypes = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]
export const manifestTypes: readonly string[] = [...indexTypes, ...imageTypes]

const configTypes = new Set([
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
])

const isDigest = (value: unknown) => isText(value) && digestForm.test(value as string)
const isDescriptor = recordOf({
  digest: isDigest,
  mediaType: optional(isText),
  platform: optional(recordOf({ os: isText, architecture: isText, variant: optional(isText) })),
})

/** @param contentType what the server said; the document's own word, where it has one, comes first */
export function readManifest(bytes: Buffer, contentType: string): Manifest {
  const value = parsedRecord(bytes)
  if (value === undefined) return { kind: 'unusable', why: 'its manifest is not JSON' }
  if (value.schemaVersion !== 2) return { kind: 'unusable', why: 'its manifest is of an old schema' }
  const said = typeof value.mediaType === 'string' ? value.mediaType : contentType.split(';')[0]?.trim()
  if (said !== undefined && indexTypes.includes(said)) {
    // An entry of another form is not one that we would choose.
    const manifests = Array.isArray(value.manifests) ? value.manifests.filter(isDescriptor) : []
    return { kind: 'index', manifests: manifests as Descriptor[] }
  }
  if (said === undefined || !imageTypes.includes(said))
    return { kind: 'unusable', why: 'its manifest is of a type that this version does not know' }
  const config = value.config
  if (!isDescriptor(config)) return { kind: 'unusable', why: 'its manifest names no configuration' }
  const descriptor = config as Descriptor
  return configTypes.has(descriptor.mediaType ?? '')
    ? { kind: 'image', config: descriptor }
    : { kind: 'unusable', why: 'it is no container image, but another kind of artifact' }
}

/** The entrypoint and command of an image, as they stand in its configuration. */
export type ImageCommand = { entrypoint: string[]; cmd: string[] }

export type ReadConfig =
  { usable: true; architecture: string; command: ImageCommand } | { usable: false; why: string }

const isWords = optional(listOf(isText))
const isConfig = recordOf({
  architecture: isText,
  os: isText,
  config: optional(recordOf({ Entrypoint: isWords, Cmd: isWords })),
})

/** It becomes a part of the pod, which is 1.5 MiB at most, and of our memory, a thousand times. */
const mostCommandBytes = 16 * 1024

export function readImageConfig(bytes: Buffer): ReadConfig {
  const value = parsedRecord(bytes)
  if (value === undefined || !isConfig(value))
    return { usable: false, why: 'its configuration is not of a known form' }
  if (value.os !== 'linux') return { usable: false, why: 'it is not for Linux' }
  const { Entrypoint, Cmd } = (value.config ?? {}) as { Entrypoint?: string[] | null; Cmd?: string[] | null }
  const command = { entrypoint: Entrypoint ?? [], cmd: Cmd ?? [] }
  const words = [...command.entrypoint, ...command.cmd]
  if (words.some((word) => word.includes('\0') || !word.isWellFormed()))
    return { usable: false, why: 'its command has characters that no command can have' }
  if (words.reduce((sum, word) => sum + Buffer.byteLength(word) + 3, 0) > mostCommandBytes)
    return { usable: false, why: `its command is longer than ${mostCommandBytes} bytes` }
  return { usable: true, architecture: value.architecture as string, command }
}

function parsedRecord(bytes: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}
