/** Installs Reprieve as an administrator would, by kustomize, and takes it away again. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { until, type Kubectl } from './kubectl.ts'

const manifests = new URL('../../manifests', import.meta.url).pathname
export const systemNamespace = 'reprieve-system'
/** As manifests/overlays/e2e/config.yaml says. */
export const storeFolder = '/var/lib/reprieve-e2e'

export type Installation = { remove(): Promise<void> }

type Kustomization = { images: { name: string; newName?: string; newTag?: string; digest?: string }[] }
type Config = { sidecar?: { withoutCapabilities?: string[] } }

export async function install(
  kubectl: Kubectl,
  image: string,
  withoutCapabilities: string[],
  say: (line: string) => void,
): Promise<Installation> {
  const copy = mkdtempSync(join(tmpdir(), 'reprieve-e2e-'))
  cpSync(manifests, copy, { recursive: true })
  const overlay = join(copy, 'overlays/e2e')
  edit<Kustomization>(join(overlay, 'kustomization.yaml'), (file) => {
    for (const entry of file.images)
      Object.assign(entry, splitImage(entry.name.endsWith('-control-plane') ? controlPlaneOf(image) : image))
  })
  edit<Config>(join(overlay, 'config.yaml'), (file) => {
    if (withoutCapabilities.length > 0) file.sidecar = { ...file.sidecar, withoutCapabilities }
  })
  const remove = async () => {
    await kubectl('delete', '--kustomize', overlay, '--ignore-not-found', '--wait=true', '--timeout=120s')
    rmSync(copy, { recursive: true, force: true })
  }
  try {
    await kubectl('apply', '--kustomize', overlay)
    say('applied the manifests; waiting for the webhook and its certificates')
    await kubectl(
      '--namespace',
      systemNamespace,
      'rollout',
      'status',
      'deployment/reprieve-webhook',
      '--timeout=180s',
    )
    await until('the CA in the webhook configuration', 60_000, async () => {
      const bundle = await kubectl(
        'get',
        'mutatingwebhookconfiguration/reprieve',
        '--output=jsonpath={.webhooks[*].clientConfig.caBundle}',
      )
      return bundle.trim().split(/\s+/).length >= 2 ? bundle : undefined
    })
    return { remove }
  } catch (error) {
    await kubectl('--namespace', systemNamespace, 'describe', 'pods').then(say, () => undefined)
    await remove()
    throw error
  }
}

/** Does `what` while the webhook has no replica, and brings it back. */
export async function awayWith(kubectl: Kubectl, what: () => Promise<void>): Promise<void> {
  const inSystem = (...args: string[]) => kubectl(`--namespace=${systemNamespace}`, ...args)
  await inSystem('scale', 'deployment/reprieve-webhook', '--replicas=0')
  try {
    const pods = '--selector=app.kubernetes.io/name=reprieve-webhook'
    await inSystem('wait', 'pods', pods, '--for=delete', '--timeout=90s')
    await what()
  } finally {
    await inSystem('scale', 'deployment/reprieve-webhook', '--replicas=1')
    await inSystem('rollout', 'status', 'deployment/reprieve-webhook', '--timeout=180s')
  }
}

/** As scripts/build-image.sh names it. */
export function controlPlaneOf(image: string): string {
  return image.replace(/(:[^:/]+)?$/, '-control-plane$1')
}

/** `host:5000/name:tag` or `name@sha256:…`, as kustomize wants it. */
export function splitImage(image: string): { newName: string; newTag?: string; digest?: string } {
  const [name = image, digest] = image.split('@')
  if (digest !== undefined) return { newName: name, digest }
  const colon = name.lastIndexOf(':')
  if (colon <= name.lastIndexOf('/')) return { newName: name, newTag: 'latest' }
  return { newName: name.slice(0, colon), newTag: name.slice(colon + 1) }
}

function edit<T>(file: string, change: (content: T) => void): void {
  const content = parse(readFileSync(file, 'utf8')) as T
  change(content)
  writeFileSync(file, stringify(content))
}
