/** The memory of a process that stands still: proc_pid_mem(5). The sidecar may read and write it, as a debugger. */
import { open, readFile, type FileHandle } from 'node:fs/promises'

const pieceBytes = 4 << 20
/** Every needle is of eight-byte words, and lies as the compiler lays such words out. */
const alignment = 8
/** More than that is no trace of anything, and would fill this program's own memory. */
const mostPlaces = 100_000

/**
 * Looks through what the process has written and no file holds: once for all needles, since a program may have thousands.
 * @param needles each of twelve bytes or more
 * @returns the addresses of each needle
 * @throws Error where they are found nearly everywhere
 */
export async function findInMemory(
  pid: number,
  needles: readonly Buffer[],
  signal: AbortSignal,
): Promise<number[][]> {
  const found = needles.map(() => new Set<number>())
  const sieve = new Sieve(needles)
  const words = new Uint32Array(pieceBytes / Uint32Array.BYTES_PER_ELEMENT)
  const piece = Buffer.from(words.buffer)
  // A piece begins at a whole word, as an area does.
  const overlap = Math.ceil(Math.max(...needles.map(({ length }) => length)) / alignment) * alignment
  let places = 0
  const memory = await open(`/proc/${pid}/mem`, 'r')
  try {
    for (const { from, to } of parseOwnAreas(await readFile(`/proc/${pid}/maps`, 'latin1')))
      for (let at = from; at < to; at += pieceBytes - overlap) {
        signal.throwIfAborted()
        const length = await readSome(memory, piece, at, Math.min(pieceBytes, to - at))
        for (const { index, offset } of sieve.matches(words, piece.subarray(0, length))) {
          found[index]?.add(at + offset)
          if (++places > mostPlaces) throw new Error(`it is found in more than ${mostPlaces} places`)
        }
      }
  } finally {
    await memory.close()
  }
  return found.map((addresses) => Array.from(addresses))
}

/** Finds needles by a hash of their first twelve bytes. */
class Sieve {
  readonly #byHash = new Map<number, { bytes: Buffer; index: number }[]>()
  /** Which beginnings of hashes there are: most words of a memory are told apart by that. */
  readonly #beginnings = new Uint8Array(1 << 16)

  constructor(needles: readonly Buffer[]) {
    for (const [index, bytes] of needles.entries()) {
      const hash = hashOf(bytes.readUInt32LE(0), bytes.readUInt32LE(8))
      this.#byHash.set(hash, [...(this.#byHash.get(hash) ?? []), { bytes, index }])
      this.#beginnings[hash >>> 16] = 1
    }
  }

  /** @param words the bytes of the text, and maybe more */
  *matches(words: Uint32Array, text: Buffer): Generator<{ index: number; offset: number }> {
    const end = Math.floor(text.length / 4) - 2
    for (let word = this.#next(words, 0, end); word < end; word = this.#next(words, word + 2, end)) {
      const offset = word * 4
      for (const { bytes, index } of this.#byHash.get(hashOf(words[word] ?? 0, words[word + 2] ?? 0)) ?? [])
        if (bytes.equals(text.subarray(offset, offset + bytes.length))) yield { index, offset }
    }
  }

  /** Apart from the generator: all words go through here, and V8 makes fast code only of a plain loop. */
  #next(words: Uint32Array, from: number, end: number): number {
    const beginnings = this.#beginnings
    let word = from
    while (word < end && beginnings[hashOf(words[word] as number, words[word + 2] as number) >>> 16] === 0)
      word += 2
    return word
  }
}

/** Of the first and the third word of four bytes: the halves of addresses and inodes that differ most. */
function hashOf(first: number, third: number): number {
  return Math.imul(Math.imul(third, 0x9e3779b1) ^ first, 0x85ebca6b) >>> 0
}

export async function writeMemory(
  pid: number,
  writes: readonly { address: number; bytes: Buffer }[],
): Promise<void> {
  const memory = await open(`/proc/${pid}/mem`, 'r+')
  try {
    for (const { address, bytes } of writes) await memory.write(bytes, 0, bytes.length, address)
  } finally {
    await memory.close()
  }
}

/** @param maps text of /proc/PID/maps, proc_pid_maps(5): private, writable areas without an inode */
export function parseOwnAreas(maps: string): { from: number; to: number }[] {
  const areas = maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw.p \S+ \S+ 0(?: |$)/gm)
  return [...areas].map(([, from = '', to = '']) => ({
    from: Number.parseInt(from, 16),
    to: Number.parseInt(to, 16),
  }))
}

/** @returns 0 for what cannot be read: a device's memory, or pages whose file has become shorter */
function readSome(memory: FileHandle, piece: Buffer, at: number, length: number): Promise<number> {
  return memory.read(piece, 0, length, at).then(
    ({ bytesRead }) => bytesRead,
    () => 0,
  )
}
