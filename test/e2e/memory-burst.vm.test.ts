/**
 * Whole pods that fill their memory as fast as they can, on a real cgroup of version 2: none is killed for it. `make soak` repeats
 * each a hundred times.
 */
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { poll } from '../harness/deadline.ts'
import type { Pod } from '../harness/pod.ts'
import { cgroupFolder } from '../harness/cgroup.ts'
import { growing, needsOf, sumOf, undisturbedSum } from './memory.ts'
import { resizeSocket, startResizer } from './resizer.ts'
import { readFileSync } from 'node:fs'
import { application, exitCodeOf, numbersIn, openStage, sidecar, soaking } from './support.ts'

const runs = soaking ? 100 : 1
// Each pod is one busy thread most of the time, and the guest has two processors.
t.jobs = 2
const beside = () => ({ buffered: true })
/** Emulated processors take their time. */
const deadlineMs = 180_000

/** What run number `run` is like: one thread and four, limits of 128 MiB to 1 GiB. */
function shapeOf(run: number): { limitMiB: number; threads: number; mebibytes: number } {
  const limitMiB = [128, 256, 128, 512, 192, 1024, 128, 384][run % 8] ?? 128
  return { limitMiB, threads: run % 2 === 0 ? 4 : 1, mebibytes: Math.ceil(limitMiB * 1.25) }
}

t.test(
  `${runs} applications that fill their memory in a burst are given more in place: none is killed, none restarted`,
  beside(),
  async (t) => {
    const stage = await openStage(t, {
      programs: ['fill.c'],
      config: `memory: { resizeSocket: ${resizeSocket} }`,
    })
    let held = 0
    for (let run = 0; run < runs; run++) {
      const shape = shapeOf(run)
      const pod = await stage.run(growing({ ...shape, pauseUs: 0, annotations: { key: `grow-${run}` } }))
      const resizer = await startResizer(t, pod)
      await pod.waitForLog(application, /^done$/, { deadlineMs })
      const isRight = sumOf(pod) === (await undisturbedSum(shape.mebibytes))
      await pod.ended
      const { attempts, state } = pod.container(application)
      if (isRight && attempts === 1 && state.kind === 'terminated' && state.exitCode === 0 && resizer.asked.length > 0)
      held++
    else t.fail(`run ${run}, ${JSON.stringify(shape)}: ${JSON.stringify(state)}, attempts ${attempts}, right ${isRight}`) // prettier-ignore
    }
    t.comment(`${runs} runs with grow: held ${held}`)
    t.equal(held, runs)
  },
)

t.test(
  `${runs} applications that fill their memory in a burst are rescheduled: each replacement goes on where it was, with more`,
  beside(),
  async (t) => {
    const stage = await openStage(t, { programs: ['fill.c'] })
    let held = 0
    for (let run = 0; run < runs; run++) {
      const shape = { ...shapeOf(run), pauseUs: 0, annotations: { key: `next-${run}`, 'on-memory-pressure': 'reschedule' } } // prettier-ignore
      const first = await stage.runPlain(stage.admit(growing(shape), new Map()))
      await first.ended
      const [stoppedAt = 0] = numbersIn(first, /^mib (\d+)$/).slice(-1)
      const needs = await needsOf(stage, `tests/key/next-${run}`)
      const second = await stage.runPlain(stage.admit(growing(shape), needs))
      await second.waitForLog(application, /^done$/, { deadlineMs })
      const [wentOnAt = 0] = numbersIn(second, /^mib (\d+)$/)
      const isRight = sumOf(second) === (await undisturbedSum(shape.mebibytes))
      await second.ended
      if (isRight && exitCodeOf(first) === 75 && exitCodeOf(second) === 0 && wentOnAt >= stoppedAt) held++
    else t.fail(`run ${run}, ${JSON.stringify(shape)}: ${exitCodeOf(first)}, ${exitCodeOf(second)}, stopped at ${stoppedAt}, went on at ${wentOnAt}, right ${isRight}`) // prettier-ignore
    }
    t.comment(`${runs} runs with reschedule: held ${held}`)
    t.equal(held, runs)
  },
)

t.test(
  'a sidecar that is killed while the application stands still lets it go when it is started again',
  beside(),
  async (t) => {
    const stage = await openStage(t, {
      programs: ['fill.c'],
      config: `memory: { resizeSocket: ${resizeSocket} }`,
    })
    const pod = await stage.run(growing({ limitMiB: 128, mebibytes: 116, threads: 1, hold: true }))
    await startResizer(t, pod, 'silence')
    await pod.waitForLog(application, /^mib /, { deadlineMs })
    const frozen = () => readFileSync(`${cgroupFolder(pod.container(application).cgroupPath, 'memory')}/cgroup.events`, 'utf8').includes('frozen 1') // prettier-ignore
    await poll(
      'it to stand still',
      deadlineMs,
      () => (frozen() ? true : undefined),
      () => pod.describe(),
    )
    for (const pid of nodeProcesses(pod)) process.kill(pid, 'SIGKILL')
    const killedAt = performance.now()
    // Guard's first pause of 100 ms, and as long as this machine takes to start Node.
    await poll(
      'it to be let go',
      deadlineMs,
      () => (frozen() ? undefined : true),
      () => pod.describe(),
    )
    t.comment(`let go ${Math.round(performance.now() - killedAt)} ms after the kill`)
    await pod.waitForLog(sidecar, /what an earlier sidecar left frozen was let go/, { deadlineMs })
    await pod.waitForLog(application, /^done$/, { deadlineMs })
    t.equal(frozen(), false)
    await pod.delete({ gracePeriodSeconds: 60 })
  },
)

function nodeProcesses(pod: Pod): number[] {
  return pod
    .container(sidecar)
    .processes()
    .filter((pid) => /^Name:\t(node|MainThread)$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')))
}

t.test(
  'a dump is charged neither to the application nor beyond the limit of the sidecar, which lives',
  beside(),
  async (t) => {
    const stage = await openStage(t, {
      programs: ['fill.c'],
      config: `sidecar: { resources: { limits: { memory: 96Mi } } }`,
    })
    const pod = await stage.run(growing({ limitMiB: 256, mebibytes: 200, threads: 1, hold: true, annotations: { 'memory-threshold': '70%' } })) // prettier-ignore
    await pod.waitForLog(sidecar, /a checkpoint was taken/, { deadlineMs })
    await delay(500)
    const of = (name: string, file: string) =>
      readFileSync(`${cgroupFolder(pod.container(name).cgroupPath, 'memory')}/${file}`, 'utf8')
    t.match(of(sidecar, 'memory.events'), /^oom_kill 0$/m)
    t.equal(pod.container(sidecar).attempts, 1)
    t.ok(Number(of(sidecar, 'memory.peak')) <= 96 * 2 ** 20, of(sidecar, 'memory.peak'))
    // The pages of 200 MiB, and what a program has beside; were the images' page cache charged here, it would be nearly twice that.
    t.ok(Number(of(application, 'memory.peak')) < 220 * 2 ** 20, of(application, 'memory.peak'))
    t.match(of(application, 'memory.events'), /^oom_kill 0$/m)
    await pod.delete()
  },
)
