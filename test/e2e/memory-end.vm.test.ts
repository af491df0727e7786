/** A pod is told to end while its application stands still for its memory: no preStop runs in it, and it is saved all the same. */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { cgroupFolder } from '../harness/cgroup.ts'
import { poll } from '../harness/deadline.ts'
import { growing } from './memory.ts'
import { resizeSocket, startResizer } from './resizer.ts'
import { application, exitCodeOf, numbersIn, openStage, sidecar } from './support.ts'

/** Emulated processors take their time. */
const deadlineMs = 180_000

const work = () => growing({ limitMiB: 128, mebibytes: 116, threads: 1, hold: true })

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
