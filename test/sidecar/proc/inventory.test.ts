import t from 'tap'
import { differences, pinnedThreads, takeInventory, type Inventory } from '../../../sidecar/proc/inventory.ts'
import { mustRun } from '../../../sidecar/proc/command.ts'
import { quietLog as log } from '../quiet-log.ts'
import { program } from '../stand-ins.ts'

const task = { affinity: '3', nice: '0' }
const inventory = (tasks: Inventory['tasks'], affinity = '3'): Inventory => ({ version: 1, affinity, tasks })

t.test('only threads that do not have all processors of their container are pinned', async (t) => {
  const tasks = { 7: { Umask: '0022' }, '7/7': task, '7/8': { ...task, affinity: '2' } }
  t.same(pinnedThreads(inventory(tasks)), [{ tid: 8, mask: '2' }])
})

t.test('another machine’s processors are no difference, and those of a pinned thread are', async (t) => {
  const was = inventory({ '7/7': task, '7/8': { ...task, affinity: '2' }, '7/9': task })
  const is = inventory({ '7/7': { ...task, affinity: 'f' }, '7/8': { ...task, affinity: 'f' } }, 'f')
  t.same(
    differences(was, is),
    ['7/8: affinity was 2, and is f'],
    'and of a thread that has ended nothing is told',
  )
  t.same(differences(was, was), [])
  t.same(differences(inventory({ '7/7': { other: '2' } }), was), [], 'an attribute of an earlier release')
})

t.test('what a program has changed of itself is seen', async (t) => {
  const script = 'umask 027; ulimit -n 200; exec sleep 100'
  const { pid = 0 } = await program(t, ['sh', '-c', script])
  const plain = await program(t, ['sleep', '100'])
  const argv = ['sh', '-c', `renice -n 5 ${pid}; echo 200 > /proc/${pid}/oom_score_adj`]
  await mustRun(argv, { log, deadlineMs: 10_000 })
  const { tasks } = await takeInventory(process.pid, [pid])
  t.match(tasks[pid], { Umask: '0027', oom_score_adj: '200', 'max open files': '200 200' })
  t.match(tasks[`${pid}/${pid}`], { nice: '5' })
  const other = (await takeInventory(process.pid, [plain.pid ?? 0])).tasks
  const lines = differences(
    inventory({ [pid]: tasks[pid] ?? {} }),
    inventory({ [pid]: other[plain.pid ?? 0] ?? {} }),
  )
  t.ok(
    lines.some((line) => line.startsWith(`${pid}: max open files was 200 200, and is `)),
    lines.join('\n'),
  )
})

t.test('a process that has ended has no attributes', async (t) => {
  t.same((await takeInventory(process.pid, [2 ** 22 - 1])).tasks, {})
})
