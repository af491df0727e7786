/** Point c: what was restored is the same application to the pod: its exit code, its signals, its family. */
import t from 'tap'
import { parseStat, type ProcessStat } from '../../src/process-stat.ts'
import { poll } from '../harness/deadline.ts'
import type { Pod } from '../harness/pod.ts'
import { application, deadlineMs, exitCodeOf, openStage, podOf, replaced } from './support.ts'

t.test('the exit code of a restored application is its container’s', async (t) => {
  const stage = await openStage(t, { programs: ['ends.c'] })
  const cases = [
    { how: 'exit 0', code: 0 },
    { how: 'exit 3', code: 3 },
    { how: 'signal 9', code: 137 },
    { how: 'signal 11', code: 139 },
    { how: 'signal 15', code: 143 },
  ]
  for (const { how, code } of cases) {
    const key = how.replace(' ', '-')
    const { after } = await replaced(
      stage,
      { command: ['/app/ends', '/how'], annotations: { key } },
      /waiting/,
    )
    await after.exec(application, ['sh', '-c', `echo ${how} > /how`])
    const status = await after.waitUntilEnded(deadlineMs)
    t.equal(exitCodeOf(after), code, how)
    t.equal(status.phase, code === 0 ? 'Succeeded' : 'Failed', how)
  }
})

t.test('SIGTERM reaches a restored application, whose own handler decides how it ends', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const { before, after } = await replaced(stage, { command: ['/app/steps', '100000', '20'] }, /^step/)
  t.notMatch(before.logs(application), /told to end/, 'the one that was checkpointed was told nothing')
  after.killContainer(application, 'SIGTERM')
  await after.waitUntilEnded(deadlineMs)
  t.match(
    after.logLines(application).findLast(({ stream }) => stream === 'stdout')?.text,
    /^told to end at \d+$/,
  )
  t.equal(exitCodeOf(after), 7)
})

t.test('children, an orphan and threads come back, and all go on counting where they were', async (t) => {
  const stage = await openStage(t, { programs: ['family.c'] })
  const options = { command: ['/app/family'] }
  const before = await stage.run(podOf(options))
  await before.waitForLog(application, /^count/, { nth: 20, deadlineMs })
  const shape = await familyOf(before)
  t.same(shape, ['1 threads', '1 threads', '1 threads', '1 threads', '5 threads'])
  await before.evict()
  const after = await stage.run(podOf(options))
  await after.waitForLog(application, /^count/, { nth: 40, deadlineMs })
  t.same(await familyOf(after), shape)

  const [last = []] = countsOf(before).slice(-1)
  const [first = [], ...later] = countsOf(after)
  const end = later.at(-1) ?? []
  t.equal(first.length, 9)
  t.equal(first[0], (last[0] ?? 0) + 1, 'the very next round')
  for (const [index, count] of first.entries()) {
    t.ok(count >= (last[index] ?? 0), `counter ${index} forgot nothing: ${last[index]}, then ${count}`)
    t.ok((end[index] ?? 0) >= count + 30, `counter ${index} goes on: ${count}, then ${end[index]}`)
  }
})

t.test('the orphans that a restored application leaves are reaped', async (t) => {
  const stage = await openStage(t, { programs: ['orphans.c'] })
  const { after } = await replaced(stage, { command: ['/app/orphans', '200'] }, /waiting/)
  after.killContainer(application, 'SIGUSR1')
  await after.waitForLog(application, /^left 200$/, { deadlineMs })
  const left = await poll('no process of the pod but those that live on', deadlineMs, async () => {
    const processes = await processesOf(after)
    const orphans = processes.filter(({ name }) => name === 'orphans')
    const zombies = processes.filter(({ state }) => state === 'Z')
    return orphans.length === 1 && zombies.length === 0 ? orphans : undefined
  })
  t.equal(left.length, 1, 'the application itself')
  after.killContainer(application, 'SIGUSR1')
  await after.waitForLog(application, /^left 200$/, { nth: 2, deadlineMs })
})

/** Every process of the pod, as one inside sees it (proc(5), /proc/PID/stat). */
async function processesOf(pod: Pod): Promise<ProcessStat[]> {
  const { stdout } = await pod.exec(application, ['sh', '-c', 'cat /proc/[0-9]*/stat 2>/dev/null'])
  return stdout.split('\n').flatMap((line) => parseStat(line) ?? [])
}

async function familyOf(pod: Pod): Promise<string[]> {
  const processes = await processesOf(pod)
  return processes
    .filter(({ name, state }) => name === 'family' && state !== 'Z')
    .map(({ threads }) => `${threads} threads`)
    .toSorted()
}

function countsOf(pod: Pod): number[][] {
  return pod
    .logLines(application)
    .filter(({ text }) => text.startsWith('count '))
    .map(({ text }) => text.split(' ').slice(1).map(Number))
}
