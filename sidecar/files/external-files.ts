/**
 * Files on volumes that outlive the pod are not archived. Before a checkpoint is restored each that the application held is compared
 * with what was recorded of it (external-verdict.ts). Only what is provably the application's own append is cut off: it is
 * moved to a file beside, at the last moment, and put back if the restore comes to nothing.
 */
import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { describeError, ReprieveError } from '../../src/errors.ts'
import type { ExternalFile } from '../../src/manifest.ts'
import type { ExternalFilesChoice } from '../../src/pod-plan.ts'
import { limitedParallel } from '../../src/store/limited-parallel.ts'
import { isBesideDatabase, isDatabaseContent, isDatabaseName } from './database-files.ts'
import { judgeFile, type FoundFile, type Verdict } from './external-verdict.ts'
import { folderPrintOf, printOf, sampleOf, type FilePrint } from './file-print.ts'
import type { Growth } from './file-tails.ts'
import { mountOf } from './mounts.ts'
import { withFile } from './open-beneath.ts'

/** Where the files are: seen from a process of the container. */
export type ExternalPlace = {
  pid: number
  mountPoints: readonly string[]
  /** Mount points of the volumes that they have to lie on. */
  external: readonly string[]
  /** What lies there under a file's name is that file: the volume is the pod's own. */
  isByName?: boolean
  /** Milliseconds since the epoch by which nothing of the old pod wrote any more: the start of this container. */
  sinceMs: number
}

/**
 * @returns the files of which a tail is to be cut off
 * @throws ReprieveError `unfit-files` when the checkpoint does not fit the files any more, naming each that does not
 */
export async function requireFitFiles(
  place: ExternalPlace,
  files: readonly ExternalFile[],
  choice: ExternalFilesChoice,
): Promise<Growth[]> {
  const problems: string[] = []
  const grown: Growth[] = []
  const judged = await limitedParallel(files, atOnce, new AbortController().signal, async (file) => ({
    file,
    ...(await judge(place, file, choice).catch((error): Judged => ({
      verdict: unfit(describeError(error)),
    }))),
  }))
  for (const { file, verdict, seen } of judged) {
    if (verdict.do === 'unfit') problems.push(`${file.path}: ${verdict.why}`)
    else if (verdict.do === 'cut' && seen !== undefined) grown.push({ ...file, seen })
  }
  if (problems.length === 0) return grown
  const shown = problems.slice(0, mostShown).join('; ')
  const more = problems.length > mostShown ? `; and ${problems.length - mostShown} more` : ''
  throw new ReprieveError(
    'unfit-files',
    `files on volumes that ${place.isByName === true ? 'other containers use' : 'outlive the pod'} do not fit the checkpoint: ${shown}${more}`,
    { problems },
  )
}

const mostShown = 8
const unfit = (why: string): Verdict => ({ do: 'unfit', why })

/** A network file system answers many questions in the time of one. */
const atOnce = 16

/** `seen`: the file as it was judged. */
type Judged = { verdict: Verdict; seen?: FilePrint }

async function judge(place: ExternalPlace, file: ExternalFile, choice: ExternalFilesChoice): Promise<Judged> {
  if (!place.external.includes(mountOf(file.path, place.mountPoints)))
    return { verdict: unfit('it no longer lies on a volume that outlives the pod') }
  const seen = await find(place, file)
  const { held } = file
  const isSame = place.isByName === true && held !== undefined && seen.kind === 'file'
  const named = isSame ? { ...seen, inode: held.inode, bornNs: held.bornNs } : seen
  return { verdict: judgeFile(file, named, choice), ...(seen.kind === 'file' ? { seen } : {}) }
}

async function find(place: ExternalPlace, recorded: ExternalFile): Promise<FoundFile> {
  try {
    return await withFile(place.pid, recorded.path, constants.O_RDONLY, async ({ file, folder, name }) => {
      const stats = await file.stat({ bigint: true })
      if (!stats.isFile()) return { kind: 'other' }
      const print = printOf(stats)
      const { sizeBytes, held } = recorded
      const isSampled = held?.sample !== undefined && print.sizeBytes >= sizeBytes
      const sampled = isSampled ? await sampleOf(file, sizeBytes) : undefined
      return {
        kind: 'file',
        ...print,
        folder: folderPrintOf(await folder.stat({ bigint: true })),
        ...(sampled === undefined ? {} : { sample: sampled.sample }),
        guarded:
          isDatabaseName(name) ||
          (await beginsAsDatabase(file)) ||
          (held?.use !== 'read' && (await isBesideDatabase(`/proc/self/fd/${folder.fd}`, name))),
        busy: Number(BigInt(print.modifiedNs) / 1_000_000n) > place.sinceMs,
      }
    })
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT') return { kind: 'missing' }
    // A link, a folder that has become a file, a folder, a socket.
    if (['ELOOP', 'ENOTDIR', 'EISDIR', 'ENXIO'].includes(code ?? '')) return { kind: 'other' }
    throw error
  }
}

async function beginsAsDatabase(file: FileHandle): Promise<boolean> {
  const beginning = Buffer.alloc(16)
  const { bytesRead } = await file.read(beginning, 0, beginning.length, 0)
  return isDatabaseContent(beginning.subarray(0, bytesRead))
}
