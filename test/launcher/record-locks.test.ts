import { once } from 'node:events'
import { mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { lockCounts, recordLocksOf } from '../../sidecar/proc/record-locks.ts'
import { program } from '../sidecar/stand-ins.ts'
import { launch } from './launcher.ts'

/** Without the file: `TYPE START END`. */
const locksOf = (pid: number) =>
  readFileSync('/proc/locks', 'latin1')
    .split('\n')
    .flatMap(
      (line) => new RegExp(`POSIX +ADVISORY +(\\w+) +${pid} \\S+ (.*)$`).exec(line)?.slice(1).join(' ') ?? [],
    )
    .toSorted()

void t.test('sets locks in other processes, which go on, and names those that it cannot set', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'locks-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const opened = (name: string, then: string) =>
    program(t, ['bash', '-c', `exec 7<>${folder}/${name}; ${then}`], (pid) =>
      readlinkSync(`/proc/${pid}/fd/7`).endsWith(name),
    )
  // One is in a system call nearly all the time, the other hardly ever.
  const one = await opened('one', 'while sleep 0.05; do echo turn; done')
  const other = await opened('other', 'for ((n = 0;; n++)); do ((n % 10000)) || echo turn; done')
  const words = [
    `${one.pid}:7:1:10:20`,
    `${one.pid}:99:1:0:1`,
    `${one.pid}:7:0:128:1`,
    `${2 ** 22 - 1}:7:1:0:1`,
    `${other.pid}:7:1:${2n ** 62n}:0`,
  ]
  const ending = await launch(t, ['record-locks', ...words]).ended
  t.equal(ending.code, 0)
  t.match(ending.stderr, `fcntl of ${words[1]}: Bad file descriptor`)
  t.match(ending.stderr, `ptrace of process ${2 ** 22 - 1}: No such process`)
  t.same(ending.stderr.trim().split('\n').length, 2)
  t.same(locksOf(one.pid), ['READ 128 128', 'WRITE 10 29'])
  t.same(locksOf(other.pid), ['WRITE 4611686018427387904 EOF'])
  t.equal(lockCounts().get(one.pid), 2)
  t.same(recordLocksOf(one.pid, 2).toSorted(), ['7:0:128:1', '7:1:10:20'])
  // What both wrote so far lies in their pipes.
  for (const { stdout } of [one, other])
    for (let turn = 0; turn < 3; turn++) if (stdout) await once(stdout, 'data')
})

void t.test('refuses what is no lock before it touches a process', async (t) => {
  const { pid } = await program(t, ['sleep', '100'])
  for (const word of ['1', '1:2:1:0', 'x:7:1:0:1', `${pid}:7:1:0:1x`, '0:7:1:0:1']) {
    const ending = await launch(t, ['record-locks', `${pid}:7:1:0:1`, word]).ended
    t.equal(ending.code, 125, word)
    t.match(ending.stderr, `"${word}" is not PID:FD:TYPE:START:LENGTH`)
    t.same(locksOf(pid), [])
  }
})
