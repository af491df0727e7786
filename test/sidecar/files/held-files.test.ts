import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, statSync, unlinkSync, writeFileSync, writeSync } from 'node:fs'
import t from 'tap'
import { parseMappings } from '../../../sidecar/files/file-uses.ts'
import { heldExternalFiles, withSoleWriters } from '../../../sidecar/files/held-files.ts'
import type { ExternalFile, HeldFile } from '../../../src/manifest.ts'

const gone = 2 ** 22 + 1

async function held(folder: string, pids = [process.pid, gone]): Promise<Record<string, ExternalFile>> {
  const files = await heldExternalFiles({ pids, mountPoints: ['/', folder], external: [folder] })
  return Object.fromEntries(files.map((file) => [file.path.slice(folder.length + 1), file]))
}

/** Opens files of the folder until the test ends. */
function opened(t: Test, folder: string, flags: Record<string, string>): Map<string, number> {
  const fds = Object.entries(flags).map(([name, how]): [string, number] => [
    name,
    openSync(`${folder}/${name}`, how),
  ])
  t.teardown(() => fds.forEach(([, fd]) => closeSync(fd)))
  return new Map(fds)
}
type Test = { teardown: (work: () => unknown) => void }

/** With what it started itself. */
function endWith(t: Test, { pid }: ChildProcess): void {
  t.teardown(() => pid !== undefined && process.kill(-pid, 'SIGKILL'))
}

t.test('regular files that are open on lasting volumes are recorded, and what identifies them', async (t) => {
  const folder = t.testdir({ log: 'seven b', gone: 'x', other: 'y', deep: {} })
  opened(t, folder, { log: 'r', gone: 'r', deep: 'r' })
  unlinkSync(`${folder}/gone`)
  const { ino, birthtimeNs, mtimeNs } = statSync(`${folder}/log`, { bigint: true })
  const about = statSync(folder, { bigint: true })
  const facts = {
    inode: `${ino}`,
    bornNs: `${birthtimeNs}`,
    modifiedNs: `${mtimeNs}`,
    folder: `${about.ino} ${about.birthtimeNs}`,
  }
  t.match(await held(folder), { log: { path: `${folder}/log`, sizeBytes: 7, held: { ...facts, sample: /^[0-9a-f]{64}$/, use: 'read', alone: false, mapped: false, guarded: false } } }) // prettier-ignore
  t.same(Object.keys(await held(folder)), ['log'])
  t.same(await heldExternalFiles({ pids: [process.pid], mountPoints: ['/', folder], external: [] }), [])
  const deep = { pids: [process.pid], mountPoints: ['/', folder], external: [`${folder}/deep`] }
  t.same(await heldExternalFiles(deep), [], 'not what lies on another mount')
})

t.test('how a file is open tells who may have written behind its end', async (t) => {
  const folder = t.testdir({ append: 'x', elsewhere: 'x', behind: 'x', update: 'x', both: 'x', empty: '' })
  const fds = opened(t, folder, {
    append: 'a',
    elsewhere: 'a',
    behind: 'r+',
    update: 'r+',
    both: 'a',
    fresh: 'w',
    empty: 'r+',
  })
  opened(t, folder, { both: 'r+' })
  for (const name of ['append', 'elsewhere', 'update', 'both', 'fresh'])
    writeSync(fds.get(name) ?? -1, 'mine')
  writeFileSync(`${folder}/elsewhere`, 'by another', { flag: 'a' })
  const uses = Object.entries(await held(folder)).map(([name, file]) => [
    name,
    file.held?.use,
    file.held?.alone,
  ])
  t.same(uses.sort(), [
    ['append', 'append', true],
    ['behind', 'write', false],
    ['both', 'write', false],
    ['elsewhere', 'append', false],
    ['empty', 'write', false],
    ['fresh', 'write', true],
    ['update', 'write', false],
  ])
})

t.test('files of databases and locked ones are told', async (t) => {
  const folder = t.testdir({
    data: 'x',
    'data-wal': '',
    locked: 'x',
    plain: 'x',
    'x.mdb': 'x',
    ldb: { '1.log': '', CURRENT: '' },
  })
  writeFileSync(`${folder}/sqlite`, 'SQLite format 3\0')
  opened(t, folder, { data: 'a', plain: 'a', 'x.mdb': 'a', 'ldb/1.log': 'a', sqlite: 'a' })
  const locking = spawn('flock', [`${folder}/locked`, 'sh', '-c', 'echo locked; exec sleep 100'], {
    detached: true,
  })
  endWith(t, locking)
  await once(locking.stdout, 'data')
  const files = await held(folder, [process.pid, locking.pid ?? 0])
  const guarded = Object.entries(files).filter(([, file]) => file.held?.guarded === true)
  t.same(guarded.map(([name]) => name).sort(), ['data', 'ldb/1.log', 'locked', 'sqlite', 'x.mdb'])
  t.equal(files.plain?.held?.guarded, false)
})

t.test('a file that is mapped after its descriptor was closed is recorded, too', async (t) => {
  const folder = t.testdir({ 'private one': 'x'.repeat(5_000), shared: 'y'.repeat(5_000) })
  const program = `
import ctypes, os, sys
libc = ctypes.CDLL(None); libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
for path, prot, flags in ((sys.argv[1], 1, 2), (sys.argv[2], 3, 1)):
    fd = os.open(path, os.O_RDWR); libc.mmap(None, 5000, prot, flags, fd, 0); os.close(fd)
print('mapped', flush=True); sys.stdin.read()`
  const mapping = spawn('python3', ['-c', program, `${folder}/private one`, `${folder}/shared`], {
    detached: true,
  })
  endWith(t, mapping)
  await once(mapping.stdout, 'data')
  t.match(await held(folder, [mapping.pid ?? 0]), {
    'private one': { sizeBytes: 5_000, held: { use: 'read', mapped: true, alone: false } },
    shared: { sizeBytes: 5_000, held: { use: 'write', mapped: true, alone: false } },
  })
})

t.test('lines of maps are read as the kernel writes them', async (t) => {
  const maps = `7f0000000000-7f0000001000 r--p 00000000 fe:00 12                         /data/two words
7f0000002000-7f0000003000 rw-s 00001000 fe:00 13                         /data/line\\012end
7f0000004000-7f0000005000 rw-p 00000000 00:00 0                          [heap]
`
  t.same(parseMappings(maps, ['/data']), [
    { range: '7f0000000000-7f0000001000', mode: 'r--p', path: '/data/two words' },
    { range: '7f0000002000-7f0000003000', mode: 'rw-s', path: '/data/line\nend' },
  ])
  t.same(parseMappings(maps, ['/other']), [])
})

t.test('only the sole writer of a file is alone with it', async (t) => {
  const folder = t.testdir({ mine: 'x', ours: 'x', theirs: 'x' })
  const fds = opened(t, folder, { mine: 'a', ours: 'a', theirs: 'a' })
  for (const fd of fds.values()) writeSync(fd, 'mine')
  const neighbour = spawn('sh', ['-c', `exec >>"${folder}/theirs"; echo here >&2; exec sleep 100`], {
    detached: true,
  })
  endWith(t, neighbour)
  await once(neighbour.stderr, 'data')
  const files = Object.values(await held(folder))
  const of = (name: string) => `${folder}/${name}`
  const writers = async () => new Map([[of('mine'), 1], [of('ours'), 2], [of('theirs'), 1]]) // prettier-ignore
  const alone = async (isEnding: boolean) => {
    const sole = await withSoleWriters(files, { writers, pids: [process.pid], isEnding })
    return sole.filter((file) => file.held?.alone === true).map(({ path }) => path)
  }
  t.same(await alone(false), [of('mine')])
  t.same(await alone(true), [], 'what ends appends nothing later')
  const read: HeldFile = {
    inode: '1',
    bornNs: '1',
    folder: '1 1',
    modifiedNs: '1',
    use: 'read',
    alone: false,
    mapped: false,
    guarded: false,
  }
  const none = { writers: () => Promise.reject(new Error('not asked for')), pids: [], isEnding: false }
  t.same(await withSoleWriters([{ path: '/x', sizeBytes: 1, held: read }], none), [
    { path: '/x', sizeBytes: 1, held: read },
  ])
})

t.test(
  'the samples of very many files would hold up the application: the files that are written come first',
  async (t) => {
    const folder = t.testdir({})
    mkdirSync(`${folder}/deep`)
    const names = Array.from({ length: 300 }, (_, index) => `deep/${index}`)
    for (const name of names) writeFileSync(`${folder}/${name}`, name)
    opened(t, folder, Object.fromEntries(names.map((name) => [name, 'r'])))
    opened(t, folder, { last: 'w' })
    const files = await held(folder)
    t.equal(Object.values(files).filter((file) => file.held?.sample !== undefined).length, 256)
    t.ok(files.last?.held?.sample)
  },
)
