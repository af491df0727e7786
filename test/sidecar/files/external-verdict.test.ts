/** The rule for files on lasting volumes as a table: what was recorded, what is found, what becomes of the file. */
import t from 'tap'
import type { HeldFile } from '../../../src/manifest.ts'
import type { ExternalFilesChoice } from '../../../src/pod-plan.ts'
import { judgeFile, type FoundFile } from '../../../sidecar/files/external-verdict.ts'

const reader: HeldFile = {
  inode: '12',
  bornNs: '1000',
  modifiedNs: '2000',
  folder: '2 500',
  sample: 'same',
  use: 'read',
  alone: false,
  mapped: false,
  guarded: false,
}
const mapper = { ...reader, mapped: true }
const log: HeldFile = { ...reader, use: 'append', alone: true }
const { sample: _sample, ...unsampledLog } = log
const sharedLog = { ...log, alone: false }
const writer: HeldFile = { ...reader, use: 'write', alone: true }
const database: HeldFile = { ...reader, use: 'write', guarded: true }
const random: HeldFile = { ...reader, use: 'write' }

type File = Extract<FoundFile, { kind: 'file' }>
const unchanged: File = {
  kind: 'file',
  sizeBytes: 100,
  inode: '12',
  bornNs: '1000',
  modifiedNs: '2000',
  folder: '2 600',
  sample: 'same',
  guarded: false,
  busy: false,
}
const grown: File = { ...unchanged, sizeBytes: 150, modifiedNs: '3000' }
const grownAndChanged: File = { ...grown, sample: 'other' }
const { sample: _, ...short } = { ...unchanged, sizeBytes: 50, modifiedNs: '3000' }
const changed: File = { ...unchanged, modifiedNs: '3000', sample: 'other' }
const changedInTheMiddle: File = { ...unchanged, modifiedNs: '3000' }
const touchedTheSameTick: File = { ...unchanged, sample: 'other' }
const another: File = { ...grown, inode: '13' }
const anotherOfTheSameNumber: File = { ...grown, bornNs: '1001' }
const copy: File = { ...unchanged, inode: '13' }
const grownCopy: File = { ...grown, inode: '13' }
const unrelated: File = { ...another, sample: 'other' }
const rotated: File = { ...unrelated, folder: '2 500' }

type Row = [what: string, held: HeldFile | undefined, found: FoundFile, safe: string, rewind?: string]
const rows: Row[] = [
  ['a file that is gone', reader, { kind: 'missing' }, 'unfit: it is gone'],
  ['a folder in its place', log, { kind: 'other' }, 'unfit: it is not a regular file any more'],
  ...Object.entries({ reader, mapper, log, sharedLog, writer, database, random }).flatMap(([name, held]): Row[] => [
    [`${name}: unchanged`, held, unchanged, 'keep'],
    [`${name}: unchanged on a volume that was copied`, held, copy, 'keep'],
    [`${name}: another file`, held, unrelated, 'unfit: another file lies in its place'],
  ]),

  ['a reader: others appended', reader, grown, 'keep'],
  ['a reader: others changed it', reader, changed, 'keep'],
  ['a reader: others cut it', reader, short, 'keep'],
  ['a reader: it lies beside a database by now', reader, { ...changed, guarded: true }, 'keep'],
  ['a reader: a copy that grew', reader, grownCopy, 'keep'],

  ['mapped for reading: others appended', mapper, grown, 'keep'],
  ['mapped for reading: others appended and changed', mapper, grownAndChanged, 'unfit: it is mapped, and was changed since', 'keep'],
  ['mapped for reading: changed in the middle', mapper, changedInTheMiddle, 'unfit: it is mapped, and was changed since', 'keep'],
  ['mapped for reading: a copy that grew', mapper, grownCopy, 'unfit: another file lies in its place'],
  ['mapped for reading: shorter', mapper, short, 'unfit: it is mapped, and was changed since', 'unfit: it has 50 bytes, but had 100 at the checkpoint'],

  ['its own log: it grew', log, grown, 'cut'],
  ['its own log, by a name that the file system gives no birth', { ...log, bornNs: '0' }, grown, 'cut'],
  ['its own log: cut and written anew', log, grownAndChanged, 'keep', 'cut'],
  ['its own log: others write to it now', log, { ...grown, busy: true }, 'keep', 'cut'],
  ['its own log: shorter', log, short, 'keep', 'unfit: it has 50 bytes, but had 100 at the checkpoint'],
  ['its own log: rotated', log, rotated, 'keep'],
  ['its own log: rotated, and its folder has no birth', { ...log, folder: '2 0' }, { ...rotated, folder: '2 0' }, 'unfit: another file lies in its place'],
  ['its own log, locked: rotated', { ...log, guarded: true }, rotated, 'unfit: another file lies in its place'],
  ['a file written anywhere: replaced', random, rotated, 'unfit: another file lies in its place'],
  ['a reader: replaced', reader, rotated, 'unfit: another file lies in its place'],
  ['its own log: another volume gave it the same number', log, anotherOfTheSameNumber, 'unfit: another file lies in its place'],
  ['its own log: too many files to take a sample', unsampledLog, grown, 'keep', 'cut'],
  ['its own log: a database lies beside it by now', log, { ...grown, guarded: true }, 'unfit: it is a database’s or a locked file, and was changed since', 'cut'],
  ['its own log, locked: it grew', { ...log, guarded: true }, grown, 'unfit: it is a database’s or a locked file, and was changed since', 'cut'],
  ['its own log, mapped: it grew', { ...log, mapped: true }, grown, 'unfit: it is mapped, and was changed since', 'cut'],
  ['a log of several writers: it grew', sharedLog, grown, 'keep', 'cut'],
  ['a log of several writers: changed', sharedLog, changed, 'keep'],

  ['a file written at its end: it grew', writer, grown, 'cut'],
  ['a file written at its end: cut by a restore before', writer, changedInTheMiddle, 'keep'],
  ['a file written at its end: changed', writer, changed, 'unfit: it was open for writing, and was changed since', 'keep'],
  ['a file written at its end: others write to it now', writer, { ...grown, busy: true }, 'unfit: it was open for writing, and was changed since', 'cut'],
  ['a file written anywhere: it grew', random, grown, 'unfit: it was open for writing, and was changed since', 'cut'],
  ['a file written anywhere: changed in the middle', random, changedInTheMiddle, 'unfit: it was open for writing, and was changed since', 'keep'],
  ['a file written anywhere: changed without a new time', random, touchedTheSameTick, 'unfit: it was open for writing, and was changed since', 'keep'],
  ['a file written anywhere: shorter', random, short, 'unfit: it was open for writing, and was changed since', 'unfit: it has 50 bytes, but had 100 at the checkpoint'],
  ['a database: it grew', database, grown, 'unfit: it is a database’s or a locked file, and was changed since', 'cut'],
  ['a database: shorter', database, short, 'unfit: it is a database’s or a locked file, and was changed since', 'unfit: it has 50 bytes, but had 100 at the checkpoint'],

  ['of an earlier release: unchanged', undefined, unchanged, 'keep'],
  ['of an earlier release: grown', undefined, grown, 'keep'],
  ['of an earlier release: shorter', undefined, short, 'unfit: it has 50 bytes, but had 100 at the checkpoint'],
] // prettier-ignore

function said(held: HeldFile | undefined, found: FoundFile, choice: ExternalFilesChoice): string {
  const verdict = judgeFile({ path: '/x', sizeBytes: 100, ...(held && { held }) }, found, choice)
  return verdict.do === 'unfit' ? `unfit: ${verdict.why}` : verdict.do
}

for (const [what, held, found, safe, rewind = safe] of rows)
  t.test(what, async (t) => {
    t.equal(said(held, found, 'safe'), safe, 'safe')
    t.equal(said(held, found, 'rewind'), rewind, 'rewind')
    t.equal(said(held, found, 'ignore'), found.kind === 'file' ? 'keep' : safe, 'ignore')
  })

t.test('of a file that was empty, and has no birth, the number alone is no proof', async (t) => {
  const unborn = { path: '/x', sizeBytes: 0, held: { ...log, bornNs: '0' } }
  t.strictSame(judgeFile(unborn, grown, 'safe'), { do: 'keep' })
  t.strictSame(judgeFile({ ...unborn, held: log }, grown, 'safe'), { do: 'cut' })
})
