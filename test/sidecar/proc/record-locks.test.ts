import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { differences, takeInventory, type Inventory } from '../../../sidecar/proc/inventory.ts'
import { lockCounts, recordLocksOf } from '../../../sidecar/proc/record-locks.ts'
import { fewerLocks, locksIn, putBackLocks } from '../../../sidecar/restore/put-back-locks.ts'
import { quietLog as log } from '../quiet-log.ts'
import { program } from '../stand-ins.ts'

const table = `1: POSIX  ADVISORY  READ 7 fe:00:2737393 128 128
1: -> POSIX  ADVISORY  WRITE 9 fe:00:2737393 128 128
2: POSIX  ADVISORY  WRITE 7 fe:00:2737393 0 EOF
3: FLOCK  ADVISORY  WRITE 7 00:01:2 0 EOF
4: OFDLCK ADVISORY  WRITE -1 00:01:2 0 EOF
5: POSIX  ADVISORY  WRITE 8 00:01:2 10 19
`
const inventory = (tasks: Inventory['tasks']): Inventory => ({ version: 1, affinity: '3', tasks })

const was = (locks: string) =>
  inventory({ 7: { 'record locks': locks }, [process.pid]: { 'record locks': '3:0:1:1' } })

/** A parent and a child that hold locks by the same descriptor, of which the child has a copy. */
const script = (file: string) => `
import fcntl, os, time
fd = os.open('${file}', os.O_RDWR)
fcntl.flock(fd, fcntl.LOCK_EX)
fcntl.lockf(fd, fcntl.LOCK_EX, 10, 20)
fcntl.lockf(fd, fcntl.LOCK_SH, 0, 2**63 - 1)
child = os.fork()
if child == 0:
    os.dup2(fd, 9)
    fcntl.lockf(fd, fcntl.LOCK_SH, 1, 128)
    time.sleep(100)
while f' {child} ' not in open('/proc/locks').read(): time.sleep(0.01)
print(fd, child, flush=True)
time.sleep(100)
`

t.test('the record locks of each process are counted, and no others', (t) => {
  t.same([...lockCounts(table)], [[7, 2], [8, 1]]) // prettier-ignore
  t.end()
})

t.test('the record locks of processes that share a descriptor are read, to the last digit', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'locks-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  closeSync(openSync(join(folder, 'file'), 'w'))
  const parent = await program(t, ['python3', '-c', script(join(folder, 'file'))])
  const said = await new Promise<string>((resolve) =>
    parent.stdout?.once('data', (data) => resolve(String(data))),
  )
  const [fd = 0, child = 0] = said.split(' ').map(Number)
  t.teardown(() => process.kill(child, 'SIGKILL'))
  t.same(recordLocksOf(parent.pid, 2).toSorted(), [`${fd}:0:${2n ** 63n - 1n}:0`, `${fd}:1:20:10`])
  t.same(recordLocksOf(parent.pid, 0), [])
  t.same(recordLocksOf(2 ** 22 - 1, 1), [], 'of a process that has ended')
  const found = await takeInventory(process.pid, [child])
  t.match(locksIn(found, child), [new RegExp(`^(${fd}|9):0:128:1$`)], 'once, whatever copies there are')
  t.same(
    differences(found, inventory({ [child]: { 'record locks': '' } })),
    [],
    'a program drops them by itself',
  )
})

t.test('of record locks in an inventory, only those are set that are none of another form', async (t) => {
  t.same(locksIn(was('3:0:128:1 4:1:0:0'), 7), ['3:0:128:1', '4:1:0:0'])
  t.same(
    locksIn(was('2 3:2:0:0 -1:0:0:1 3:0:0:1x 3:0:-5:1'), 7),
    [],
    'an earlier release has written a count',
  )
  t.same(locksIn(was(''), 8), [])
  t.same(
    await putBackLocks(was(''), { root: 2 ** 22 - 1, launcherPid: process.pid }, log),
    [],
    'and none of a process outside the tree',
  )
})

t.test('a process that has fewer than it had is named', (t) => {
  const had = [7, 8, 9].map((pid) => ({ pid, locks: ['3:0:0:1', '3:0:5:1'] }))
  t.same(fewerLocks(had, lockCounts(table)), [
    '8: record locks were 2, and are 1',
    '9: record locks were 2, and are 0',
  ])
  t.end()
})
