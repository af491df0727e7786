/** Images as a registry keeps them, built byte by byte and pushed with plain PUTs. */
import { createHash } from 'node:crypto'

export type Blob = { digest: string; bytes: Buffer; mediaType: string }

/** An image without layers: nothing else is ever asked of a registry here. */
export type SampleImage = { manifest: Blob; config: Blob }

const oci = 'application/vnd.oci.image'

export function sampleImage(
  config: { Entrypoint?: string[] | null; Cmd?: string[] | null },
  { architecture = 'amd64', docker = false }: { architecture?: string; docker?: boolean } = {},
): SampleImage {
  const configType = docker ? 'application/vnd.docker.container.image.v1+json' : `${oci}.config.v1+json`
  const manifestType = docker
    ? 'application/vnd.docker.distribution.manifest.v2+json'
    : `${oci}.manifest.v1+json`
  const rootfs = { type: 'layers', diff_ids: [] }
  const configBlob = blobOf({ architecture, os: 'linux', config, rootfs }, configType)
  const manifest = { schemaVersion: 2, mediaType: manifestType, config: descriptorOf(configBlob), layers: [] }
  return { config: configBlob, manifest: blobOf(manifest, manifestType) }
}

export function sampleIndex(images: { image: Blob; platform: object }[], docker = false): Blob {
  const mediaType = docker
    ? 'application/vnd.docker.distribution.manifest.list.v2+json'
    : `${oci}.index.v1+json`
  const manifests = images.map(({ image, platform }) => Object.assign(descriptorOf(image), { platform }))
  return blobOf({ schemaVersion: 2, mediaType, manifests }, mediaType)
}

export function blobOf(value: object, mediaType: string): Blob {
  const bytes = Buffer.from(JSON.stringify(value))
  return { digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`, bytes, mediaType }
}

function descriptorOf({ digest, bytes, mediaType }: Blob): object {
  return { mediaType, digest, size: bytes.length }
}

/** @param base `http://127.0.0.1:5000/v2/team/app` */
export async function pushImage(
  base: string,
  { manifest, config }: SampleImage,
  target: string,
  headers = {},
) {
  const begun = await expect(202, `${base}/blobs/uploads/`, { method: 'POST', headers })
  const place = new URL(begun.headers.get('location') ?? '', base)
  place.searchParams.set('digest', config.digest)
  const octets = { ...headers, 'content-type': 'application/octet-stream' }
  await expect(201, place.href, { method: 'PUT', body: new Uint8Array(config.bytes), headers: octets })
  await pushManifest(base, manifest, target, headers)
}

export async function pushManifest(base: string, manifest: Blob, target: string, headers = {}) {
  await expect(201, `${base}/manifests/${target}`, {
    method: 'PUT',
    body: new Uint8Array(manifest.bytes),
    headers: { ...headers, 'content-type': manifest.mediaType },
  })
}

async function expect(status: number, url: string, request: RequestInit): Promise<Response> {
  const answer = await fetch(url, { ...request, signal: AbortSignal.timeout(10_000) })
  if (answer.status !== status)
    throw new Error(`${request.method} ${url}: ${answer.status} ${await answer.text()}`)
  return answer
}
