/**
 * The objects of an API server, as etcd and the watch cache keep them: one counter of resource versions for all, a history that can be
 * compacted, and deletions that are events of their own.
 */
export type Meta = {
  name: string
  namespace?: string
  uid: string
  resourceVersion: string
  generation?: number
  creationTimestamp: string
  deletionTimestamp?: string
  deletionGracePeriodSeconds?: number
  [field: string]: unknown
}
export type KubeObject = { apiVersion: string; kind: string; metadata: Meta; [part: string]: unknown }
export type Kind = 'pods' | 'nodes' | 'events'
/** `before`: the object until then, by which a watch with a selector sees what has left it. */
export type Change = { version: number; kind: Kind; type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: KubeObject; before?: KubeObject } // prettier-ignore

export class Objects {
  readonly #objects = new Map<string, KubeObject>()
  #history: Change[] = []
  #version = 1_000
  #oldest = 1_000
  readonly #listeners = new Set<(change: Change) => void>()

  get version(): number {
    return this.#version
  }

  /** Versions before it are not known any more. */
  get oldest(): number {
    return this.#oldest
  }

  all(kind: Kind): KubeObject[] {
    return [...this.#objects].filter(([key]) => key.startsWith(`${kind}/`)).map(([, object]) => object)
  }

  get(kind: Kind, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#objects.get(keyOf(kind, { namespace, name }))
  }

  /** @param object its version is made here */
  put(kind: Kind, object: KubeObject): KubeObject {
    const key = keyOf(kind, object.metadata)
    const before = this.#objects.get(key)
    const metadata = { ...object.metadata, resourceVersion: String(++this.#version) }
    const stored = structuredClone({ ...object, metadata }) as KubeObject
    this.#objects.set(key, stored)
    this.#changed({ version: this.#version, kind, type: before === undefined ? 'ADDED' : 'MODIFIED', object: stored, ...(before === undefined ? {} : { before }) }) // prettier-ignore
    return stored
  }

  remove(kind: Kind, namespace: string | undefined, name: string): void {
    const key = keyOf(kind, { namespace, name })
    const before = this.#objects.get(key)
    if (before === undefined) return
    this.#objects.delete(key)
    // The event of a deletion has the version of the deletion.
    const object = structuredClone(before)
    object.metadata.resourceVersion = String(++this.#version)
    this.#changed({ version: this.#version, kind, type: 'DELETED', object, before })
  }

  /** Forgets what was before now: a watch from an earlier version gets 410 Gone. */
  compact(): void {
    this.#history = []
    this.#oldest = this.#version
  }

  since(version: number): Change[] {
    return this.#history.filter((change) => change.version > version)
  }

  listen(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #changed(change: Change): void {
    this.#history.push(change)
    for (const listener of this.#listeners) listener(change)
  }
}

function keyOf(kind: Kind, { namespace, name }: { namespace?: string | undefined; name: string }): string {
  return `${kind}/${namespace ?? ''}/${name}`
}
