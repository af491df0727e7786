import type { ConfigReader } from './config-reader.ts'

/** A volume source, as it stands in a pod, that carries a store's directory. The claim lies in the pod's namespace. */
export type StoreVolume =
  | { hostPath: { path: string; type: 'DirectoryOrCreate' | 'Directory' } }
  | { nfs: { server: string; path: string } }
  | { persistentVolumeClaim: { claimName: string } }

const storeName = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
const absolutePath = {
  pattern: /^\/(?!.*(?:^|\/)\.\.(?:\/|$)).*$/,
  accepted: 'an absolute path without ".."',
}
const objectName = { pattern: /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, accepted: 'the name of an object' }
const hostName = {
  pattern: /^[A-Za-z0-9:[\]][A-Za-z0-9.:[\]-]{0,252}$/,
  accepted: 'a host name or an address',
}

/** What a pod gets that names no store. */
export const defaultStore = 'default'

export function readStores(stores: ConfigReader): ReadonlyMap<string, StoreVolume> {
  const read = new Map<string, StoreVolume>()
  for (const name of stores.names()) {
    if (!storeName.test(name)) stores.problem(name, 'must be named by a DNS label')
    const volume = readVolume(stores.section(name), (what) => stores.problem(name, what))
    if (volume !== undefined) read.set(name, volume)
  }
  if (!stores.has(defaultStore)) stores.problem(defaultStore, 'is required: the store of pods that name none')
  return read
}

function readVolume(store: ConfigReader, problem: (what: string) => void): StoreVolume | undefined {
  const kinds = ['hostPath', 'nfs', 'persistentVolumeClaim'].filter((kind) => store.has(kind))
  if (kinds.length !== 1) {
    problem('must have exactly one of hostPath, nfs, persistentVolumeClaim')
    return undefined
  }
  const volume = readSource(store)
  store.refuseOthers()
  return volume
}

function readSource(store: ConfigReader): StoreVolume {
  if (store.has('hostPath')) {
    const source = store.section('hostPath')
    const path = source.text('path', undefined, absolutePath)
    const type = source.oneOf('type', 'DirectoryOrCreate', ['DirectoryOrCreate', 'Directory'])
    source.refuseOthers()
    return { hostPath: { path, type } }
  }
  if (store.has('nfs')) {
    const source = store.section('nfs')
    const nfs = {
      server: source.text('server', undefined, hostName),
      path: source.text('path', undefined, absolutePath),
    }
    source.refuseOthers()
    return { nfs }
  }
  const source = store.section('persistentVolumeClaim')
  const claimName = source.text('claimName', undefined, objectName)
  source.refuseOthers()
  return { persistentVolumeClaim: { claimName } }
}
