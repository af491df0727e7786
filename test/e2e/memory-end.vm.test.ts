/** A pod is told to end while its application stands still for its memory: no preStop runs in it, and it is saved all the same. */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { cgroupFolder } from '../harness/cgroup.ts'
import { poll } from '../harness/deadline.ts'
import { growing, needsOf } from './memory.ts'
import { resizeSocket, startResizer } from './resizer.ts'
import { application, exitCodeOf, numbersIn, openStage, sidecar, statusOf } from './support.ts'

/** Emulated processors take their time. */
const deadlineMs = 180_000

const work = () => growing({ limitMiB: 128, mebibytes: 116, threads: 1, hold: true })
const more = () => growing({ limitMiB: 128, mebibytes: 140, threads: 1, hold: true })

t.test('a pod that is told to end while its application stands still goes on from there', async (t) => {
  const stage = await openStage(t, {
    programs: ['fill.c'],
    config: `memory: { resizeSocket: ${resizeSocket} }`,
  })
  const before = await stage.run(work())
  await startResizer(t, before, 'silence')
  await before.waitForLog(application, /^mib /, { deadlineMs })
  const events = `${cgroupFolder(before.container(application).cgroupPath, 'memory')}/cgroup.events`
  await poll(
    'it to stand still',
    deadlineMs,
    () => (readFileSync(events, 'utf8').includes('frozen 1') ? true : undefined),
    () => before.describe(),
  )
  await before.evict()
  t.ok(before.events.some(({ reason }) => reason === 'FailedPreStopHook'), 'the runtime ran no preStop') // prettier-ignore
  t.match(await stage.manifests(), [{ trigger: 'prestop' }], 'one checkpoint, of its end')
  t.equal(exitCodeOf(before), 143)
  t.notOk(before.logLines(application).some(({ text }) => text === 'done'))

  const after = await stage.run(work())
  await after.waitForLog(application, /^done$/, { deadlineMs })
  t.notMatch(numbersIn(after, /^mib (\d+)$/), [0], 'it went on')
  await delay(1_000)
  t.equal(after.container(application).attempts, 1, 'and what told it to end was not part of it')
  t.ok(after.container(application).running)
  t.equal(after.container(sidecar).attempts, 1)
  await after.delete({ gracePeriodSeconds: 60 })
})

/** It has grown from 128 MiB in place, and is evicted with its 140 MiB. */
async function grownAndEvicted(t: Test) {
  const stage = await openStage(t, {
    programs: ['fill.c'],
    config: `memory: { resizeSocket: ${resizeSocket} }`,
  })
  const before = await stage.runPlain(stage.admit(more(), new Map()))
  await startResizer(t, before)
  await before.waitForLog(application, /^done$/, { deadlineMs })
  const needs = await poll('what it needs to be recorded', deadlineMs, async () => {
    const known = await needsOf(stage)
    return known.size > 0 ? known : undefined
  }, () => before.describe()) // prettier-ignore
  t.strictSame([...needs], [[application, 192 * 2 ** 20]])
  await before.evict()
  t.match(await stage.manifests(), [{ trigger: 'prestop' }])
  return { stage, needs }
}

t.test('what has grown in place goes on in a pod that has as much', async (t) => {
  const { stage, needs } = await grownAndEvicted(t)
  const after = await stage.runPlain(stage.admit(more(), needs))
  await after.waitForLog(sidecar, /went on from its checkpoint/, { deadlineMs })
  await delay(1_000)
  t.ok(after.container(application).running)
  t.strictSame(numbersIn(after, /^mib (\d+)$/), [], 'nothing is filled again')
  t.equal(after.container(application).attempts, 1)
  await after.delete({ gracePeriodSeconds: 60 })
})

t.test('in a pod that has less its restore is killed twice, and then it begins anew', async (t) => {
  const { stage } = await grownAndEvicted(t)
  const after = await stage.run(more())
  await startResizer(t, after)
  await after.waitForLog(application, /^done$/, { deadlineMs })
  t.equal(after.container(application).attempts, 3)
  t.match(numbersIn(after, /^mib (\d+)$/)[0], 0, 'from its beginning')
  t.match((await statusOf(after)).containers, [{ rejected: [{ reason: 'died-early', detail: /killed in the restore/ }] }]) // prettier-ignore
  await after.delete({ gracePeriodSeconds: 60 })
})
