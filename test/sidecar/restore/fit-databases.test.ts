import { spawn, type ChildProcess } from 'node:child_process'
import { copyFileSync, mkdtempSync, readdirSync, readlinkSync, renameSync, rmSync, statSync } from 'node:fs' // prettier-ignore
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { noteOpenDatabases, notedDatabases } from '../../../sidecar/files/open-databases.ts'
import { parseOwnAreas } from '../../../sidecar/proc/process-memory.ts'
import { tellMoved } from '../../../sidecar/restore/fit-databases.ts'

const deadlineMs = 60_000

/** Opens a database, and does a line of SQL for each line that it gets. Beside it the same 16 bytes, which are not SQLite's. */
const program = `
const { DatabaseSync } = require('node:sqlite')
const { statSync } = require('node:fs')
const [, path] = process.argv
const db = new DatabaseSync(path)
db.exec('create table if not exists t(n)')
const { dev, ino } = statSync(path, { bigint: true })
const own = new BigUint64Array([dev, ino])
const said = (text) => process.stdout.write(text + '\\n')
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  try { db.exec(line); said('done') } catch (error) { said(error.message) }
  said(String(own[0] === dev && own[1] === ino))
})
said('ready')
`

t.test('SQLite goes on with a database whose inode is another one', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'databases-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'one.db')
  const { child, ask } = await starts(t, path)
  const pid = child.pid ?? 0
  t.same(await ask('insert into t values (1)'), ['done', 'true'])

  t.same(await notedDatabases(folder), [], 'without a note there are none')
  await noteOpenDatabases([pid, 2 ** 30], folder)
  const noted = await notedDatabases(folder)
  t.same(noted.map((one) => [one.pid, one.fd]), [[pid, fdOf(pid, path)]], 'what is no database is not noted') // prettier-ignore

  copyFileSync(path, `${path}.new`)
  renameSync(`${path}.new`, path)
  t.same(await ask('insert into t values (2)'), ['attempt to write a readonly database', 'true'])
  const is = statSync(path, { bigint: true })
  const moved = noted.map(({ fd, dev, ino }) => ({ fd, was: { dev, ino }, is }))
  const signal = AbortSignal.timeout(deadlineMs)
  t.equal(await tellMoved(pid, moved.map((one) => ({ ...one, fd: one.fd + 1 })), signal), 0, 'of another descriptor') // prettier-ignore
  t.equal(await tellMoved(pid, moved, signal), 1)
  t.same(await ask('insert into t values (3)'), ['done', 'true'], 'the program’s own numbers are left alone')
})

t.test('only the memory is searched that the process itself has written', async (t) => {
  const maps = `00400000-00401000 rw-p 00000000 fe:00 77   /bin/program
00500000-00600000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000200000 rw-p 00000000 00:00 0 
7f0000200000-7f0000300000 ---p 00000000 00:00 0 
7f0000300000-7f0000400000 rw-s 00000000 00:01 1025   /dev/zero (deleted)
7f0000400000-7f0000500000 rwxp 00000000 00:00 0 
7f0000500000-7f0000600000 r--p 00000000 00:00 0 
`
  t.same(
    parseOwnAreas(maps).map(({ from }) => from.toString(16)),
    ['500000', '7f0000000000', '7f0000400000'],
  )
})

async function starts(t: Test, path: string) {
  const child = spawn(process.execPath, ['--no-warnings', '-e', program, path], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  t.equal((await lines.next()).value, 'ready')
  const ask = async (sql: string) => {
    child.stdin.write(`${sql}\n`)
    return [(await lines.next()).value, (await lines.next()).value]
  }
  return { child: child as ChildProcess, ask }
}

function fdOf(pid: number, path: string): number {
  const fd = readdirSync(`/proc/${pid}/fd`).find((name) => readlinkSync(`/proc/${pid}/fd/${name}`) === path)
  return Number(fd)
}
