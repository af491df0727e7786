/**
 * What becomes of a file on a volume that outlives the pod before a checkpoint is restored. Pure. The rule: nothing there is made
 * shorter or older unless the bytes in question are provably the application's own, and an application whose memory and file do not
 * belong together any more is not brought back (docs/decisions: files on lasting volumes).
 */
import type { ExternalFile, HeldFile } from '../../src/manifest.ts'
import type { ExternalFilesChoice } from '../../src/pod-plan.ts'
import { isSameFolder } from './file-print.ts'

export type FoundFile =
  | { kind: 'missing' }
  /** A folder, a link, a pipe. */
  | { kind: 'other' }
  | {
      kind: 'file'
      sizeBytes: number
      inode: string
      bornNs: string
      modifiedNs: string
      /** As `HeldFile.folder`. */
      folder: string
      /** Of the same bytes as the recorded one; missing where the file is shorter, or nothing was recorded. */
      sample?: string
      /** One of a database's files by now. */
      guarded: boolean
      /** Written to since the old pod's processes ended: others write to it, too. */
      busy: boolean
    }

type Present = Extract<FoundFile, { kind: 'file' }>

/** `keep`: the file stays as it is. `cut`: its tail is moved beside it. `unfit`: the checkpoint is passed over. */
export type Verdict = { do: 'keep' } | { do: 'cut' } | { do: 'unfit'; why: string }

const keep: Verdict = { do: 'keep' }
const unfit = (why: string): Verdict => ({ do: 'unfit', why })

export function judgeFile(recorded: ExternalFile, found: FoundFile, choice: ExternalFilesChoice): Verdict {
  if (found.kind === 'missing') return unfit('it is gone')
  if (found.kind === 'other') return unfit('it is not a regular file any more')
  if (choice === 'ignore') return keep
  const { held, sizeBytes } = recorded
  // An earlier release recorded no more: nothing is provable.
  if (held === undefined) return found.sizeBytes < sizeBytes ? shorter(sizeBytes, found) : keep
  const is = compare(held, sizeBytes, found)
  if (is.unchanged) return keep
  if (!is.same) return judgeAnother(held, found, is.sameContent)
  // Had the program lived on, it would see just what others have made of its file.
  if (isReader(held)) return keep
  if (choice === 'rewind') return rewound(held, sizeBytes, found)
  if (held.guarded || found.guarded)
    return unfit('it is a database’s or a locked file, and was changed since')
  if (held.mapped)
    return held.use === 'read' && is.onlyGrown ? keep : unfit('it is mapped, and was changed since')
  if (held.alone && is.onlyGrown && is.proven && !found.busy) return { do: 'cut' }
  // As a restore has left it that cut it before, when the program died before it appended again.
  if (held.alone && found.sizeBytes === sizeBytes && is.sameContent) return keep
  // What is appended goes behind whatever the file holds by now: nobody's bytes are lost.
  return held.use === 'append' ? keep : unfit('it was open for writing, and was changed since')
}

const isReader = ({ use, mapped }: HeldFile) => use === 'read' && !mapped

function compare(held: HeldFile, sizeBytes: number, found: Present) {
  const sameContent = held.sample !== undefined && held.sample === found.sample
  const birthsDiffer = held.bornNs !== found.bornNs && ![held.bornNs, found.bornNs].includes('0')
  const same = held.inode === found.inode && !birthsDiffer
  return {
    same,
    sameContent,
    unchanged:
      found.sizeBytes === sizeBytes &&
      found.modifiedNs === held.modifiedNs &&
      (sameContent || (same && held.sample === undefined)),
    onlyGrown: found.sizeBytes > sizeBytes && sameContent,
    /** A number of an inode alone is no proof: the volume may be another. */
    proven: sizeBytes > 0 || held.bornNs !== '0',
  }
}

/** Another file lies where the old one lay. */
function judgeAnother(held: HeldFile, found: Present, sameContent: boolean): Verdict {
  // A copy that begins with the same content, as on a volume that was moved, serves a reader as well.
  if (isReader(held) && sameContent) return keep
  // A log that was rotated: the program goes on in the new one, as it does when it opens its log again.
  const isPlainLog = held.use === 'append' && !held.mapped && !held.guarded && !found.guarded
  return isPlainLog && isSameFolder(held.folder, found.folder)
    ? keep
    : unfit('another file lies in its place')
}

function rewound({ use }: HeldFile, sizeBytes: number, found: Present): Verdict {
  if (found.sizeBytes < sizeBytes) return shorter(sizeBytes, found)
  return use === 'read' || found.sizeBytes === sizeBytes ? keep : { do: 'cut' }
}

function shorter(sizeBytes: number, found: Present): Verdict {
  return unfit(`it has ${found.sizeBytes} bytes, but had ${sizeBytes} at the checkpoint`)
}
