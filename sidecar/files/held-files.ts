/**
 * How a tree of processes that stands still holds regular files on volumes that outlive the pod: open, mapped, locked. What is
 * recorded of them tells at a restore whether they still fit (external-verdict.ts).
 */
import { constants } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { ExternalFile, HeldFile } from '../../src/manifest.ts'
import { limitedParallel } from '../../src/store/limited-parallel.ts'
import { isBesideDatabase, isDatabaseContent, isDatabaseName } from './database-files.ts'
import { folderPrintOf, noFolder, printOf, sampleOf } from './file-print.ts'
import {
  appends,
  findUses,
  isWriteOnly,
  lockedInodes,
  mayWrite,
  writtenByOthers,
  type Descriptor,
  type HeldOptions,
  type Use,
} from './file-uses.ts'

/**
 * Each sample reads up to 80 KiB, and all of it while the application stands still: a tenth of a second on a local disk, a
 * second on a slow network file system. Files that are written to come first.
 */
const mostSamples = 256

/** A network file system answers many questions in the time of one. */
const atOnce = 16

/** @throws Error where a file cannot be looked at: unrecorded, it would pass for unchanged */
export async function heldExternalFiles(options: HeldOptions): Promise<ExternalFile[]> {
  if (options.external.length === 0) return []
  const uses = await findUses(options)
  const locked = await lockedInodes()
  const folders = new Map<string, Promise<string>>()
  const sorted = uses.toSorted((a, b) => Number(isWritten(b)) - Number(isWritten(a)))
  const ranked = sorted.map((use, rank) => ({ use, isSampled: rank < mostSamples }))
  const signal = new AbortController().signal
  const files = await limitedParallel(ranked, atOnce, signal, ({ use, isSampled }) =>
    describeUse(use, { locked, folders, isSampled }),
  )
  return files.filter((file) => file !== undefined)
}

export type SoleWriterOptions = {
  /** How many open file descriptions may write to each path (criu/regular-files.ts). */
  writers: () => Promise<ReadonlyMap<string, number>>
  pids: readonly number[]
  isEnding: boolean
}

/**
 * A descriptor that a fork or a dup shares is one description, which only CRIU can tell apart from another of the same file; and an
 * application that ends with its checkpoint appends nothing later.
 */
export async function withSoleWriters(
  files: readonly ExternalFile[],
  { writers, pids, isEnding }: SoleWriterOptions,
): Promise<ExternalFile[]> {
  const candidates = files.filter(({ held }) => held?.alone === true)
  if (candidates.length === 0) return [...files]
  const [descriptions, others] = isEnding ? [] : await Promise.all([writers(), writtenByOthers(pids)])
  return files.map((file) => {
    const { path, held } = file
    if (held?.alone !== true) return file
    const alone = descriptions?.get(path) === 1 && !others?.has(held.inode)
    return { ...file, held: { ...held, alone } }
  })
}

const isWritten = ({ descriptors, mappings }: Use) =>
  descriptors.some(mayWrite) || mappings.some((mapping) => mapping.isWritten)

type Around = {
  /** Inode numbers. */
  locked: ReadonlySet<string>
  /** Their prints, by path. */
  folders: Map<string, Promise<string>>
  isSampled: boolean
}

/** @returns undefined for what is no regular file, or gone with its process */
async function describeUse(
  use: Use,
  { locked, folders, isSampled }: Around,
): Promise<ExternalFile | undefined> {
  // A page that is dirty already takes further stores without a fault, and so without a new time (mmap(2)): clean, the next store sets it.
  if (use.mappings.some((mapping) => mapping.isWritten)) await syncThrough(use.through)
  const stats = await stat(use.through, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (!stats?.isFile()) return undefined
  const { sizeBytes, ...print } = printOf(stats)
  const sampled = isSampled ? await sampleThrough(use.through, sizeBytes) : undefined
  const writers = use.descriptors.filter(mayWrite)
  const held: HeldFile = {
    ...print,
    folder: await printOfFolder(folderOf(use), folders),
    ...(sampled === undefined ? {} : { sample: sampled.sample }),
    use: !isWritten(use) ? 'read' : writers.length > 0 && writers.every(appends) ? 'append' : 'write',
    alone: writers.length > 0 && writers.every((writer) => isAtEnd(writer, sizeBytes)),
    mapped: use.mappings.length > 0,
    guarded:
      use.descriptors.some(({ isLocked }) => isLocked) ||
      locked.has(print.inode) ||
      (sampled !== undefined && isDatabaseContent(sampled.beginning)) ||
      isDatabaseName(basename(use.path)) ||
      // A large tree maps hundreds of libraries, and each look takes a network file system a while.
      (isWritten(use) && (await isBesideDatabase(folderOf(use), basename(use.path)))),
  }
  return { path: use.path, sizeBytes, held }
}

async function syncThrough(through: string): Promise<void> {
  const file = await open(through, constants.O_RDONLY | constants.O_NONBLOCK).catch(() => undefined)
  try {
    await file?.datasync()
  } catch {
    // A file system that cannot says so at each write as well: what is compared is what it tells.
  } finally {
    await file?.close()
  }
}

function printOfFolder(path: string, known: Map<string, Promise<string>>): Promise<string> {
  const print = known.get(path) ?? stat(path, { bigint: true }).then(folderPrintOf, () => noFolder)
  known.set(path, print)
  return print
}

/** By the descriptor itself: a path could lead elsewhere. A file system that lets root read nothing (root_squash) gives no sample. */
async function sampleThrough(through: string, sizeBytes: number) {
  const file = await open(through, constants.O_RDONLY | constants.O_NONBLOCK).catch(() => undefined)
  try {
    return file === undefined ? undefined : await sampleOf(file, sizeBytes)
  } catch {
    return undefined
  } finally {
    await file?.close()
  }
}

/** With something before it: a database that was just made is empty, too, and writes to itself everywhere. */
function isAtEnd(writer: Descriptor, sizeBytes: number): boolean {
  return writer.pos === sizeBytes && (appends(writer) || (isWriteOnly(writer) && sizeBytes > 0))
}

/** Only looked at: by a link in its place a hostile application can at most have one of its own files left alone. */
function folderOf({ path, through }: Use): string {
  const pid = through.split('/')[2] ?? ''
  return `/proc/${pid}/root${dirname(path)}`
}
