/** Objects in memory. */
import { ReprieveError } from '../../src/errors.ts'
import type { Objects } from '../../src/objects/objects.ts'

export class MemoryObjects implements Objects {
  readonly all = new Map<string, { body: Buffer; modifiedMs: number }>()
  nowMs = 0
  /** Puts that still succeed; the next one fails, as when the process dies there. */
  putsLeft = Number.POSITIVE_INFINITY

  async put(key: string, body: readonly Uint8Array[], options: { signal: AbortSignal; ifAbsent?: boolean }) {
    options.signal.throwIfAborted()
    if (this.putsLeft-- <= 0) throw new ReprieveError('store-failed', 'died')
    if (options.ifAbsent === true && this.all.has(key))
      throw new ReprieveError('object-exists', `${key} has an object already`)
    this.all.set(key, { body: Buffer.concat(body), modifiedMs: this.nowMs })
  }

  async get(key: string, { range }: { signal: AbortSignal; range?: { start: number; length: number } }) {
    const found = this.all.get(key)
    if (found === undefined) throw new ReprieveError('object-missing', `${key} has no object`)
    const { start, length } = range ?? { start: 0, length: found.body.length }
    return Buffer.from(found.body.subarray(start, start + length))
  }

  async *list(prefix: string) {
    const keys = [...this.all.keys()].filter((key) => key.startsWith(prefix)).sort()
    for (const key of keys) {
      const found = this.all.get(key)
      if (found) yield { key, bytes: found.body.length, modifiedMs: found.modifiedMs }
    }
  }

  async remove(keys: readonly string[]) {
    for (const key of keys) this.all.delete(key)
  }
}
