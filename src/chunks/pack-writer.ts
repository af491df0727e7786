/** Collects chunks into packs and puts each when it is full, one at a time, while the next one fills. */
import { randomBytes } from 'node:crypto'
import { packKey, type Lineage } from './lineage-objects.ts'
import type { PackUse } from './manifest.ts'
import { idBytes, mostEntries, writeIndex, type Entry, type Method } from './pack.ts'
import type { Slot } from './known.ts'

export type NewChunk = { name: Buffer; rawBytes: number; payload: Buffer; method: Method }

type Filling = { id: Buffer; use: PackUse; body: Uint8Array[]; entries: Entry[] }

export class PackWriter {
  storedBytes = 0
  readonly #at: Lineage
  readonly #packBytes: number
  readonly #signal: AbortSignal
  #filling: Filling = newPack()
  #putting: Promise<void> = Promise.resolve()

  constructor(at: Lineage, packBytes: number, signal: AbortSignal) {
    this.#at = at
    this.#packBytes = packBytes
    this.#signal = signal
  }

  async add(chunk: NewChunk): Promise<Slot> {
    const { id, use, body, entries } = this.#filling
    const ordinal = entries.length
    const { name, rawBytes, method, payload } = chunk
    const stored = this.#at.seal.close(payload, { pack: id, ordinal, name, rawBytes, method })
    const storedBytes = stored.reduce((sum, part) => sum + part.length, 0)
    body.push(...stored)
    entries.push({ name, rawBytes, method, storedBytes })
    use.bytes += storedBytes
    if (use.bytes >= this.#packBytes || entries.length >= mostEntries) await this.flush()
    return { use, ordinal }
  }

  /** Begins to put what is there, after what was there before is put. */
  async flush(): Promise<void> {
    const full = this.#filling
    this.#filling = newPack()
    await this.#putting
    if (full.entries.length > 0) this.#putting = this.#put(full)
    // Awaited by the next flush or by the end.
    this.#putting.catch(() => {})
  }

  async end(): Promise<void> {
    await this.flush()
    await this.#putting
  }

  async #put({ id, use, body, entries }: Filling): Promise<void> {
    const index = writeIndex(id, entries, this.#at.seal)
    use.bytes += index.length
    use.entries = entries.length
    use.mac = index.toString('hex', index.length - 32)
    this.storedBytes += use.bytes
    await this.#at.objects.put(packKey(this.#at, use.id), [...body, index], {
      signal: this.#signal,
      ifAbsent: true,
    })
  }
}

function newPack(): Filling {
  const id = randomBytes(idBytes)
  return { id, use: { id: id.toString('hex'), bytes: 0, entries: 0, mac: '' }, body: [], entries: [] }
}
