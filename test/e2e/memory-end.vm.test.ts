/** A pod is told to end while its application stands still for its memory: no preStop runs in it, and it is saved all the same. */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { cgroupFolder } from '../harness/cgroup.ts'
import { poll } from '../harness/deadline.ts'
import { growing, needsOf } from './memory.ts'
import { resizeSocket, startResizer } from './resizer.ts'
import { application, exitCodeOf, numbersIn, openStage, sidecar, statusOf } from './support.ts'

/** Emulated processors take their time. */
const deadlineMs = 180_000

// They wait most of the time. tap writes into the options, so each test gets its own.
t.jobs = 2
const beside = () => ({ buffered: true })

const work = () => growing({ limitMiB: 128, mebibytes: 116, threads: 1, hold: true })
const more = () =>
  growing({
    limitMiB: 128,
    mebibytes: 140,
    threads: 1,
    pauseUs: 20_000,
    hold: true,
    annotations: { keep: '1' },
  })

t.test(
  'a pod that is told to end while its application stands still goes on from there',
  beside(),
  async (t) => {
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
  },
)

t.test(
  'what has grown in place goes on where it has as much, and where it has less it begins anew',
  beside(),
  async (t) => {
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

    const after = await stage.runPlain(stage.admit(more(), needs))
    await after.waitForLog(sidecar, /went on from its checkpoint/, { deadlineMs })
    await delay(1_000)
    t.ok(after.container(application).running)
    t.strictSame(numbersIn(after, /^mib (\d+)$/), [], 'nothing is filled again')
    await after.delete({ gracePeriodSeconds: 60 })
    t.equal((await stage.manifests()).length, 1)

    for (const _ of [1, 2]) {
      const killed = await stage.run(more())
      await killed.waitUntilEnded(deadlineMs)
      t.equal(exitCodeOf(killed), 137, 'it does not fit')
    }
    const anew = await stage.run(more())
    await anew.waitForLog(application, /^mib \d$/, { deadlineMs })
    t.match((await statusOf(anew)).containers, [{ rejected: [{ reason: 'died-early', detail: /killed in the restore/ }] }]) // prettier-ignore
    await anew.delete({ gracePeriodSeconds: 60 })
  },
)
