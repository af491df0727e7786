import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chownSync,
  existsSync,
  readFileSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import t from 'tap'
import { folderPrintOf, printOf, sampleOf } from '../../../sidecar/files/file-print.ts'
import { cutTails, putBackTails, type Cut } from '../../../sidecar/files/file-tails.ts'
import { requireFitFiles } from '../../../sidecar/files/external-files.ts'
import type { ReprieveError } from '../../../src/errors.ts'
import type { ExternalFile, HeldFile } from '../../../src/manifest.ts'
import type { ExternalFilesChoice } from '../../../src/pod-plan.ts'

/** This process stands for the container: its root is /proc/<own pid>/root. */
const { pid } = process

function judge(
  files: ExternalFile[],
  folder: string,
  choice: ExternalFilesChoice = 'safe',
  sinceMs = Infinity,
) {
  return requireFitFiles({ pid, mountPoints: ['/', folder], external: [folder], sinceMs }, files, choice)
}

/** As a checkpoint records a log that the application alone appends to, unless something else is said. */
async function recorded(path: string, other: Partial<HeldFile> = {}): Promise<ExternalFile> {
  const file = await open(path)
  try {
    const { inode, bornNs, modifiedNs, sizeBytes } = printOf(await file.stat({ bigint: true }))
    const { sample } = await sampleOf(file, sizeBytes)
    const held: HeldFile = {
      inode,
      bornNs,
      modifiedNs,
      folder: folderPrintOf(await stat(dirname(path), { bigint: true })),
      sample,
      use: 'append',
      alone: true,
      mapped: false,
      guarded: false,
    }
    return { path, sizeBytes, held: { ...held, ...other } }
  } finally {
    await file.close()
  }
}

const ckpt = { checkpointId: 'ckpt', signal: new AbortController().signal }

async function cut(files: ExternalFile[], folder: string): Promise<Cut[]> {
  const cuts: Cut[] = []
  await cutTails(pid, await judge(files, folder), cuts, ckpt)
  return cuts
}

t.test('the application’s own append is cut off, and its tail is kept beside it', async (t) => {
  const folder = t.testdir({ deep: { log: 'before|' } })
  const path = `${folder}/deep/log`
  chownSync(path, 12345, 23456)
  const file = await recorded(path)
  appendFileSync(path, 'after')
  const tail = `${path}.reprieve-tail-ckpt`
  t.strictSame(await cut([file], folder), [{ path, tail, cutBytes: 5, keptBytes: 7, done: true }])
  t.equal(readFileSync(path, 'utf8'), 'before|')
  t.equal(readFileSync(tail, 'utf8'), 'after')
  const { uid, gid, mode } = statSync(tail)
  t.strictSame({ uid, gid, mode }, { uid: 12345, gid: 23456, mode: statSync(path).mode })
  t.strictSame(await cut([file], folder), [], 'and is cut only once')
})

t.test('a checkpoint that is restored again keeps the tails of both times', async (t) => {
  const folder = t.testdir({ log: 'before|' })
  const path = `${folder}/log`
  const file = await recorded(path)
  appendFileSync(path, 'first')
  await cut([file], folder)
  appendFileSync(path, 'second')
  t.match(await cut([file], folder), [{ tail: `${path}.reprieve-tail-ckpt.2`, cutBytes: 6 }])
  t.equal(readFileSync(`${path}.reprieve-tail-ckpt`, 'utf8'), 'first')
  t.equal(readFileSync(`${path}.reprieve-tail-ckpt.2`, 'utf8'), 'second')
})

t.test('a tail is never written into what lies in its place', async (t) => {
  const folder = t.testdir({ log: 'before|', mine: 'mine' })
  symlinkSync(`${folder}/mine`, `${folder}/log.reprieve-tail-ckpt`)
  execFileSync('mkfifo', [`${folder}/log.reprieve-tail-ckpt.2`])
  const path = `${folder}/log`
  const file = await recorded(path)
  appendFileSync(path, 'after')
  t.match(await cut([file], folder), [{ tail: `${path}.reprieve-tail-ckpt.3` }])
  t.equal(readFileSync(`${folder}/mine`, 'utf8'), 'mine')
})

t.test('a large tail is kept whole, and put back whole when the restore comes to nothing', async (t) => {
  const folder = t.testdir({})
  const path = `${folder}/log`
  const bytes = Buffer.alloc(3_500_000, 'abcdefg')
  writeFileSync(path, bytes.subarray(0, 1_234_567))
  const file = await recorded(path)
  appendFileSync(path, bytes.subarray(1_234_567))
  const cuts = await cut([file], folder)
  t.ok(readFileSync(path).equals(bytes.subarray(0, 1_234_567)))
  t.ok(readFileSync(`${path}.reprieve-tail-ckpt`).equals(bytes.subarray(1_234_567)))
  t.same(await putBackTails(pid, cuts), [])
  t.ok(readFileSync(path).equals(bytes))
  t.same(readdirSync(folder), ['log'])
  t.same(
    (await putBackTails(pid, cuts)).map(({ message }) => message),
    [],
    'a file that is whole is left alone',
  )
})

t.test('a tail stays beside a file that somebody has written to since', async (t) => {
  const folder = t.testdir({ log: 'before|' })
  const path = `${folder}/log`
  const file = await recorded(path)
  appendFileSync(path, 'after')
  const cuts = await cut([file], folder)
  appendFileSync(path, 'by')
  t.match(await putBackTails(pid, cuts), [
    { message: `${path}.reprieve-tail-ckpt was not put back`, cause: /has 9 bytes, not 7/ },
  ])
  t.equal(readFileSync(path, 'utf8'), 'before|by')
  t.equal(readFileSync(`${path}.reprieve-tail-ckpt`, 'utf8'), 'after')
})

t.test('a file that changes after it was judged is not cut, nor is any other', async (t) => {
  const folder = t.testdir({ log: 'before|', other: 'before|', replaced: 'before|' })
  const names = ['log', 'other', 'replaced'].map((name) => `${folder}/${name}`)
  const files = await Promise.all(names.map((name) => recorded(name)))
  for (const name of names) appendFileSync(name, 'after')
  const grown = await judge(files, folder)
  t.equal(grown.length, 3)
  renameSync(`${folder}/replaced`, `${folder}/old`)
  writeFileSync(`${folder}/replaced`, 'another file')
  const cuts: Cut[] = []
  await t.rejects(cutTails(pid, grown, cuts, ckpt), {
    message: /replaced was changed while it was looked at/,
  })
  t.same(await putBackTails(pid, cuts), [])
  t.equal(readFileSync(`${folder}/replaced`, 'utf8'), 'another file')
  t.equal(readFileSync(`${folder}/log`, 'utf8'), 'before|after')
  t.same(readdirSync(folder).sort(), ['log', 'old', 'other', 'replaced'], 'no tail is left')
})

t.test('nothing is cut once the restore has been given up', async (t) => {
  const folder = t.testdir({ log: 'before|' })
  const file = await recorded(`${folder}/log`)
  appendFileSync(`${folder}/log`, 'after')
  const cuts: Cut[] = []
  const signal = AbortSignal.abort(new Error('the preparation took too long'))
  await t.rejects(
    cutTails(pid, await judge([file], folder), cuts, { checkpointId: 'ckpt', signal }),
    /too long/,
  )
  t.equal(readFileSync(`${folder}/log`, 'utf8'), 'before|after')
})

t.test('a tail that the volume has no room for is not begun', async (t) => {
  const folder = t.testdir({ log: 'before|' })
  const file = await recorded(`${folder}/log`)
  truncateSync(`${folder}/log`, 2 ** 42)
  await t.rejects(cutTails(pid, await judge([file], folder), [], ckpt), /there is no room for the \d+ bytes/)
  t.same(readdirSync(folder), ['log'])
})

t.test('what others may have written is never cut', async (t) => {
  const folder = t.testdir({ shared: 'before|', busy: 'before|', read: 'before|', old: 'before|' })
  const others = { shared: { alone: false }, busy: {}, read: { use: 'read' } } as const
  const files = await Promise.all(
    Object.entries(others).map(([name, other]) => recorded(`${folder}/${name}`, other)),
  )
  files.push({ path: `${folder}/old`, sizeBytes: 7 })
  for (const { path } of files) appendFileSync(path, 'by another')
  const beforeThisPod = Date.now() - 3_600_000
  t.same(await judge(files, folder, 'safe', beforeThisPod), [])
  t.same(
    (await judge(files, folder, 'rewind', beforeThisPod)).map(({ path }) => path),
    [`${folder}/shared`, `${folder}/busy`],
  )
  t.same(await judge(files, folder, 'ignore', beforeThisPod), [])
})

t.test(
  'a database that grew beside its journal makes the checkpoint unfit, whatever else it looks like',
  async (t) => {
    const folder = t.testdir({
      data: 'before|',
      'data-wal': '',
      plain: 'before|',
      'x.aof': 'before|',
      ldb: { '000003.log': 'before|', CURRENT: '' },
    })
    writeFileSync(`${folder}/plain`, 'SQLite format 3\0 and more')
    const paths = ['data', 'plain', 'x.aof', 'ldb/000003.log'].map((name) => `${folder}/${name}`)
    const files = await Promise.all(paths.map((path) => recorded(path)))
    t.same(await judge(files, folder), [], 'unchanged they fit')
    for (const path of paths) appendFileSync(path, 'row')
    for (const file of files)
      await t.rejects(judge([file], folder), {
        code: 'unfit-files',
        message: `${file.path}: it is a database’s`,
      })
  },
)

t.test('another file of the same name never passes for the old one', async (t) => {
  const folder = t.testdir({ volume: { log: 'before|' }, another: { log: 'another volume’s, larger' } })
  const path = `${folder}/volume/log`
  const files = [await recorded(path)]
  renameSync(`${folder}/volume`, `${folder}/old`)
  renameSync(`${folder}/another`, `${folder}/volume`)
  for (const choice of ['safe', 'rewind'] as const)
    await t.rejects(judge(files, folder, choice), {
      code: 'unfit-files',
      message: /log: another file lies in its place/,
    })
  t.equal(readFileSync(path, 'utf8'), 'another volume’s, larger')
})

t.test('a log that was rotated is left alone, the old one and the new one', async (t) => {
  const folder = t.testdir({ log: 'before|' })
  const path = `${folder}/log`
  const files = [await recorded(path)]
  renameSync(path, `${path}.1`)
  writeFileSync(path, 'after the rotation')
  t.same(await judge(files, folder), [])
  t.same(await judge(files, folder, 'rewind'), [])
})

t.test('when one does not fit none is touched, and each that does not is named', async (t) => {
  const folder = t.testdir({ grown: 'before|', short: 'before|', folder: {}, outside: '' })
  const grown = await recorded(`${folder}/grown`)
  appendFileSync(grown.path, 'after')
  writeFileSync(`${folder}/short`, 'x')
  symlinkSync(`${folder}/grown`, `${folder}/link`)
  symlinkSync(folder, `${folder}/linked-folder`)
  execFileSync('mkfifo', [`${folder}/fifo`])
  const names = ['short', 'gone', 'link', 'linked-folder/grown', 'fifo', 'folder', 'folder/../grown']
  const files = [grown, ...names.map((name) => ({ path: `${folder}/${name}`, sizeBytes: 7 }))]
  files.push({ path: '/etc/hostname', sizeBytes: 0 })
  const error = (await judge(files, folder).catch((thrown: unknown) => thrown)) as ReprieveError
  t.equal(error.code, 'unfit-files')
  t.match(error.data.problems, [
    /short: it has 1 bytes, but had 7/,
    /gone: it is gone/,
    /link: it is not a regular file/,
    /linked-folder\/grown: it is not a regular file/,
    /fifo: it is not a regular file/,
    /folder: it is not a regular file/,
    /its path holds \.\./,
    /hostname: it no longer lies on a volume/,
  ])
  t.equal(readFileSync(`${folder}/grown`, 'utf8'), 'before|after')
  t.notOk(existsSync(`${folder}/grown.reprieve-tail-ckpt`))
})

t.test('many files that do not fit are told in one line of bounded length', async (t) => {
  const folder = t.testdir({})
  const files = Array.from({ length: 100 }, (_, index) => ({ path: `${folder}/gone-${index}`, sizeBytes: 1 }))
  await t.rejects(judge(files, folder), { message: /gone-7: it is gone; and 92 more$/ })
})

t.test('a process that is gone has no files', async (t) => {
  const place = { pid: 2 ** 22 + 1, mountPoints: ['/', '/data'], external: ['/data'], sinceMs: 0 }
  await t.rejects(requireFitFiles(place, [{ path: '/data/x', sizeBytes: 0 }], 'safe'), {
    code: 'unfit-files',
  })
})
