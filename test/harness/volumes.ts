/**
 * Volumes as folders of the node, in the kubelet's own layout (pods/<uid>/volumes/kubernetes.io~<plugin>/<name>).
 * Those that live in memory on a real node (emptyDir with medium Memory, secret, projected, downwardAPI) are tmpfs
 * mounts in the sandbox's mount namespace: `mounts` go to the pause container's shim, `fill` runs once they are made.
 */
import { chmodSync, chownSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fieldValue, resourceValue, type Contents } from './environment.ts'
import type { DownwardItem, KeyToPath, PodIdentity, PodSpec, ProjectedSource, Volume } from './manifest.ts'
import { parseQuantity } from './quantity.ts'

export type VolumeSources = Contents & {
  /** Persistent volume claims: claim name → folder on this machine. */
  claims?: Record<string, string>
}

export type PreparedVolume = {
  name: string
  source: string
  readOnly: boolean
  /** Whether the kubelet gives it to fsGroup (volume.Mounter.GetAttributes: SupportsSELinux/Managed). */
  managed: boolean
  mounts: string[]
  /** `root` is a path through which the sandbox's mounts are seen. */
  fill: (root: string) => void
}

const mode = (own: { defaultMode?: number }) => own.defaultMode ?? 0o644

type File = { path: string; text: string; mode: number }

export function prepareVolume(
  volume: Volume,
  podDir: string,
  pod: PodSpec,
  identity: PodIdentity,
  given: VolumeSources,
): PreparedVolume {
  const folder = (plugin: string) => join(podDir, 'volumes', `kubernetes.io~${plugin}`, volume.name)
  const group = pod.securityContext?.fsGroup
  const prepared = (source: string, rest: Partial<PreparedVolume>): PreparedVolume => {
    return {
      name: volume.name,
      source,
      readOnly: false,
      managed: false,
      mounts: [],
      fill: () => undefined,
      ...rest,
    }
  }
  const files = (plugin: string, list: File[], inMemory: boolean): PreparedVolume => {
    const source = folder(plugin)
    mkdirSync(source, { recursive: true, mode: 0o755 })
    return prepared(source, {
      readOnly: true,
      mounts: inMemory ? [`tmpfs|${source}|mode=1777`] : [],
      fill: (root) => writeAtomically(join(root, source), list, group),
    })
  }
  if (volume.emptyDir !== undefined) {
    const source = folder('empty-dir')
    mkdirSync(source, { recursive: true })
    const { medium, sizeLimit } = volume.emptyDir
    // pkg/volume/emptydir: mode 0777, and a memory medium's tmpfs is as large as its sizeLimit.
    const size = sizeLimit === undefined ? '' : `,size=${parseQuantity(sizeLimit)}`
    return prepared(source, {
      managed: true,
      mounts: medium === 'Memory' ? [`tmpfs|${source}|mode=0777${size}`] : [],
      fill: (root) => {
        chmodSync(join(root, source), 0o777)
        giveToGroup(join(root, source), group)
      },
    })
  }
  if (volume.hostPath !== undefined) {
    const { path, type = '' } = volume.hostPath
    if (type === 'DirectoryOrCreate') mkdirSync(path, { recursive: true, mode: 0o755 })
    if (type !== '' && !existsSync(path))
      throw new Error(`volume ${volume.name}: hostPath type check failed: no ${path}`)
    return prepared(path, { readOnly: false })
  }
  if (volume.persistentVolumeClaim !== undefined) {
    const source = given.claims?.[volume.persistentVolumeClaim.claimName]
    if (source === undefined)
      throw new Error(`no folder was given for claim ${volume.persistentVolumeClaim.claimName}`)
    mkdirSync(source, { recursive: true })
    return prepared(source, {
      readOnly: volume.persistentVolumeClaim.readOnly === true,
      managed: true,
      fill: () => giveToGroup(source, group),
    })
  }
  const keys = (
    kind: 'configMaps' | 'secrets',
    name: string,
    items: KeyToPath[] | undefined,
    optional: boolean | undefined,
    mode: number,
  ): File[] => {
    const data = given[kind]?.[name]
    if (data === undefined && optional !== true)
      throw new Error(`the harness was given no ${kind} named ${name}`)
    const wanted = items ?? Object.keys(data ?? {}).map((key) => ({ key, path: key, mode }))
    return wanted.map((item) => ({ path: item.path, text: data?.[item.key] ?? '', mode: item.mode ?? mode }))
  }
  const downward = (items: DownwardItem[] = [], mode: number): File[] =>
    items.map((item) => ({
      path: item.path,
      text:
        item.fieldRef !== undefined ? fieldValue(item.fieldRef.fieldPath, identity)
        : item.resourceFieldRef !== undefined ? resourceValue(item.resourceFieldRef, { name: '', image: '' }, pod)
        : '', // prettier-ignore
      mode: item.mode ?? mode,
    }))
  const projected = (source: ProjectedSource, mode: number): File[] => [
    ...(source.configMap
      ? keys('configMaps', source.configMap.name, source.configMap.items, source.configMap.optional, mode)
      : []),
    ...(source.secret
      ? keys('secrets', source.secret.name, source.secret.items, source.secret.optional, mode)
      : []),
    ...(source.downwardAPI ? downward(source.downwardAPI.items, mode) : []),
    ...(source.serviceAccountToken
      ? [{ path: source.serviceAccountToken.path, text: 'harness-token', mode }]
      : []),
  ]
  if (volume.configMap !== undefined) {
    const { name, items, optional } = volume.configMap
    return files('configmap', keys('configMaps', name, items, optional, mode(volume.configMap)), false)
  }
  if (volume.secret !== undefined) {
    const { secretName, items, optional } = volume.secret
    return files('secret', keys('secrets', secretName, items, optional, mode(volume.secret)), true)
  }
  if (volume.downwardAPI !== undefined)
    return files('downward-api', downward(volume.downwardAPI.items, mode(volume.downwardAPI)), true)
  if (volume.projected !== undefined) {
    const { sources } = volume.projected
    const own = volume.projected
    return files(
      'projected',
      sources.flatMap((source) => projected(source, mode(own))),
      true,
    )
  }
  throw new Error(`volume ${volume.name}: the harness knows no such kind (${Object.keys(volume).join(', ')})`)
}

let folders = 0

/** Another one for each volume of each pod: atomic_writer.go names it by the instant, and a random number. */
function datedFolder(): string {
  const instant = new Date().toISOString().slice(0, 19).replaceAll(/[-T:]/g, '_')
  return `..${instant}.${1_000_000_000 + ++folders}`
}

/** The layout of pkg/volume/util/atomic_writer.go: files in `..data`, a link to a dated folder, and a link for each. */
function writeAtomically(folder: string, files: File[], group: number | undefined): void {
  const dated = datedFolder()
  mkdirSync(join(folder, dated), { recursive: true, mode: 0o755 })
  symlinkSync(dated, join(folder, '..data'))
  for (const { path, text, mode } of files) {
    const file = join(folder, dated, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
    chmodSync(file, group === undefined ? mode : mode | 0o040)
    if (group !== undefined) chownSync(file, 0, group)
    const top = path.split('/')[0] ?? path
    if (!existsSync(join(folder, top))) symlinkSync(join('..data', top), join(folder, top))
  }
}

/** pkg/volume/volume_linux.go, changeFilePermission: group ownership, group read and write, set-group-id on folders. */
function giveToGroup(folder: string, group: number | undefined): void {
  if (group === undefined) return
  chownSync(folder, 0, group)
  chmodSync(folder, 0o2777)
}
