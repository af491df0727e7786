/** The memory of a process that stands still: proc_pid_mem(5). The sidecar may read and write it, as a debugger. */
import { open, readFile, type FileHandle } from 'node:fs/promises'

const pieceBytes = 4 << 20
/** Every needle is of eight-byte words, and lies as the compiler lays such words out. */
const alignment = 8

/**
 * Looks through what the process has written and no file holds.
 * @returns the addresses of each needle
 */
export async function findInMemory(
  pid: number,
  needles: readonly Buffer[],
  signal: AbortSignal,
): Promise<number[][]> {
  const found = needles.map(() => new Set<number>())
  const piece = Buffer.allocUnsafe(pieceBytes)
  const overlap = Math.max(...needles.map(({ length }) => length))
  const memory = await open(`/proc/${pid}/mem`, 'r')
  try {
    for (const { from, to } of parseOwnAreas(await readFile(`/proc/${pid}/maps`, 'latin1')))
      for (let at = from; at < to; at += pieceBytes - overlap) {
        signal.throwIfAborted()
        const length = await readSome(memory, piece, at, Math.min(pieceBytes, to - at))
        const text = piece.subarray(0, length)
        for (const [index, needle] of needles.entries())
          for (const offset of offsetsOf(text, needle)) found[index]?.add(at + offset)
      }
  } finally {
    await memory.close()
  }
  return found.map((addresses) => Array.from(addresses))
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

function* offsetsOf(text: Buffer, needle: Buffer): Generator<number> {
  for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + 1))
    if (at % alignment === 0) yield at
}
