/**
 * What becomes of a file on a volume that outlives the pod before a checkpoint is restored. Pure. The rule: nothing there is made
 * shorter or older unless the bytes in question are provably the application's own, and an application whose memory and file do not
 * belong together any more is not brought back (docs/decisions: files on lasting volumes).
 */
import type { ExternalFile } from '../../src/manifest.ts'
import type { ExternalFilesChoice } from '../../src/pod-plan.ts'

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
      /** Of the same bytes as the recorded one; missing where the file is shorter, or nothing was recorded. */
      sample?: string
      /** One of a database's files by now. */
      guarded: boolean
      /** Written to since the old pod's processes ended: others write to it, too. */
      busy: boolean
    }

/** `keep`: the file stays as it is. `cut`: its tail is moved beside it. `unfit`: the checkpoint is passed over. */
export type Verdict = { do: 'keep' } | { do: 'cut' } | { do: 'unfit'; why: string }

const keep: Verdict = { do: 'keep' }
const unfit = (why: string): Verdict => ({ do: 'unfit', why })

export function judgeFile(recorded: ExternalFile, found: FoundFile, choice: ExternalFilesChoice): Verdict {
  if (found.kind === 'missing') return unfit('it is gone')
  if (found.kind === 'other') return unfit('it is not a regular file any more')
  if (choice === 'ignore') return keep
  const { sizeBytes, held } = recorded
  const isShorter = found.sizeBytes < sizeBytes
  const shorter = unfit(`it has ${found.sizeBytes} bytes, but had ${sizeBytes} at the checkpoint`)
  // An earlier release recorded no more: nothing is provable.
  if (held === undefined) return isShorter ? shorter : keep
  const isSameContent = held.sample === undefined ? undefined : held.sample === found.sample
  const isSame =
    held.inode === found.inode && (held.bornNs === found.bornNs || [held.bornNs, found.bornNs].includes('0'))
  const isUnchanged =
    found.sizeBytes === sizeBytes &&
    found.modifiedNs === held.modifiedNs &&
    isSameContent !== false &&
    (isSame || isSameContent === true)
  if (isUnchanged) return keep
  const isReader = held.use === 'read' && !held.mapped
  // A copy with the same content, as a volume that was moved has it, serves a reader as well.
  if (!isSame && !(isReader && isSameContent === true)) return unfit('another file lies in its place')
  // Had the program lived on, it would see just what others have made of its file.
  if (isReader) return keep
  const isGrown = found.sizeBytes > sizeBytes
  if (choice === 'rewind')
    return held.use === 'read' || !isGrown ? (isShorter ? shorter : keep) : { do: 'cut' }
  const isOnlyGrown = isGrown && isSameContent === true
  if (held.guarded || found.guarded)
    return unfit('it is a database’s or a locked file, and was changed since')
  if (held.mapped)
    return held.use === 'read' && isOnlyGrown ? keep : unfit('it is mapped, and was changed since')
  if (held.alone && isOnlyGrown && !found.busy) return { do: 'cut' }
  // As a restore has left it that cut it before, when the program died before it appended again.
  if (held.alone && found.sizeBytes === sizeBytes && isSameContent === true) return keep
  // What is appended goes behind whatever the file holds by now: nobody's bytes are lost.
  return held.use === 'append' ? keep : unfit('it was open for writing, and was changed since')
}
