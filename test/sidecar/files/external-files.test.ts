import { execFileSync } from 'node:child_process'
import {
  chownSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
  closeSync,
  unlinkSync,
  appendFileSync,
} from 'node:fs'
import t from 'tap'
import { bringBackExternalFiles, openExternalFiles } from '../../../sidecar/files/external-files.ts'

/** This process stands for the container: its root is /proc/<own pid>/root. */
function bringBack(files: { path: string; sizeBytes: number }[], folder: string) {
  return bringBackExternalFiles(process.pid, files, 'ckpt', ['/', folder], [folder])
}

t.test('a file that grew is cut to its size, and its tail is kept beside it', async (t) => {
  const folder = t.testdir({ deep: { log: 'before|after' } })
  const path = `${folder}/deep/log`
  chownSync(path, 12345, 23456)
  t.strictSame(await bringBack([{ path, sizeBytes: 7 }], folder), [
    { path, tail: `${path}.reprieve-tail-ckpt`, cutBytes: 5 },
  ])
  t.equal(readFileSync(path, 'utf8'), 'before|')
  t.equal(readFileSync(`${path}.reprieve-tail-ckpt`, 'utf8'), 'after')
  const { uid, gid, mode } = statSync(`${path}.reprieve-tail-ckpt`)
  t.strictSame({ uid, gid, mode }, { uid: 12345, gid: 23456, mode: statSync(path).mode })
})

t.test('a checkpoint that is restored again keeps the tails of both times', async (t) => {
  const folder = t.testdir({ log: 'before|first' })
  const path = `${folder}/log`
  await bringBack([{ path, sizeBytes: 7 }], folder)
  appendFileSync(path, 'second')
  t.strictSame(await bringBack([{ path, sizeBytes: 7 }], folder), [
    { path, tail: `${path}.reprieve-tail-ckpt.2`, cutBytes: 6 },
  ])
  t.equal(readFileSync(`${path}.reprieve-tail-ckpt`, 'utf8'), 'first')
  t.equal(readFileSync(`${path}.reprieve-tail-ckpt.2`, 'utf8'), 'second')
})

t.test('a tail is never written into what lies in its place', async (t) => {
  const folder = t.testdir({ log: 'before|after', mine: 'mine' })
  symlinkSync(`${folder}/mine`, `${folder}/log.reprieve-tail-ckpt`)
  execFileSync('mkfifo', [`${folder}/log.reprieve-tail-ckpt.2`])
  const path = `${folder}/log`
  t.match(await bringBack([{ path, sizeBytes: 7 }], folder), [{ tail: `${path}.reprieve-tail-ckpt.3` }])
  t.equal(readFileSync(`${folder}/mine`, 'utf8'), 'mine')
})

t.test('a file of the size it had is left alone', async (t) => {
  const folder = t.testdir({ log: 'same' })
  t.strictSame(await bringBack([{ path: `${folder}/log`, sizeBytes: 4 }], folder), [])
  t.notOk(existsSync(`${folder}/log.reprieve-tail-ckpt`))
})

t.test('a large tail is kept whole', async (t) => {
  const folder = t.testdir({})
  const path = `${folder}/log`
  const bytes = Buffer.alloc(3_500_000, 'abcdefg')
  writeFileSync(path, bytes)
  await bringBack([{ path, sizeBytes: 1_234_567 }], folder)
  t.ok(readFileSync(path).equals(bytes.subarray(0, 1_234_567)))
  t.ok(readFileSync(`${path}.reprieve-tail-ckpt`).equals(bytes.subarray(1_234_567)))
})

t.test('when one does not fit none is touched, and each that does not is named', async (t) => {
  const folder = t.testdir({ grown: 'before|after', short: 'x', folder: {}, outside: '' })
  symlinkSync(`${folder}/grown`, `${folder}/link`)
  symlinkSync(folder, `${folder}/linked-folder`)
  execFileSync('mkfifo', [`${folder}/fifo`])
  const file = (name: string) => ({ path: `${folder}/${name}`, sizeBytes: 7 })
  const names = ['grown', 'short', 'gone', 'link', 'linked-folder/grown', 'fifo', 'folder', 'folder/../grown']
  const files = [...names.map(file), { path: '/etc/hostname', sizeBytes: 0 }]
  const error = await t.rejects(bringBack(files, folder), { code: 'restore-failed' })
  t.ok(error)
  const { data } = await bringBack(files, folder).then(
    () => ({ data: { problems: [] as string[] } }),
    (thrown: { data: { problems: string[] } }) => thrown,
  )
  t.equal(data.problems.length, 8)
  t.match(data.problems, [
    /short: it has 1 bytes, but had 7/,
    /gone: ENOENT/,
    /link: ELOOP/,
    /linked-folder\/grown: (ELOOP|ENOTDIR)/,
    /fifo: it is not a regular file/,
    /folder: EISDIR/,
    /its path holds \.\./,
    /hostname: it no longer lies on an external volume/,
  ])
  t.equal(readFileSync(`${folder}/grown`, 'utf8'), 'before|after')
  t.notOk(existsSync(`${folder}/grown.reprieve-tail-ckpt`))
})

t.test('a process that is gone has no files', async (t) => {
  await t.rejects(
    bringBackExternalFiles(2 ** 22 + 1, [{ path: '/data/x', sizeBytes: 0 }], 'c', ['/', '/data'], ['/data']),
    { code: 'restore-failed' },
  )
})

t.test('finds the regular files that are open on external volumes, with their sizes', async (t) => {
  const folder = t.testdir({ log: 'seven b', gone: 'x', other: 'y' })
  const opened = ['log', 'log', 'gone'].map((name) => openSync(`${folder}/${name}`, 'r'))
  opened.push(openSync(folder, 'r'))
  t.teardown(() => opened.forEach(closeSync))
  unlinkSync(`${folder}/gone`)
  const found = (external: string[]) => openExternalFiles([process.pid, 2 ** 22 + 1], ['/', folder], external)
  t.strictSame(await found([folder]), [{ path: `${folder}/log`, sizeBytes: 7 }])
  t.strictSame(await found([]), [])
  mkdirSync(`${folder}/deep`)
  t.strictSame(await found([`${folder}/deep`]), [], 'not what lies on another mount')
})
