/**
 * Whole pods that fill their memory as fast as they can, on a real cgroup of version 2: none is killed for it. `make soak` repeats
 * each a hundred times (bursts.ts).
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { encodeName } from '../../src/store/slot-folder.ts'
import type { Pod } from '../harness/pod.ts'
import { chosenBursts, twoAtATime, type Burst } from './bursts.ts'
import { growing, needsOf, sumOf, undisturbedSum } from './memory.ts'
import { resizeSocket, startResizer } from './resizer.ts'
import { application, exitCodeOf, numbersIn, openStage } from './support.ts'

const bursts = chosenBursts(process.env)
const isOne = bursts.length === 1
// Each pod is one busy thread most of the time, and the guest has two processors: where there is one of each they run beside each other.
t.jobs = isOne ? 2 : 1
const beside = () => ({ buffered: isOne })
/** Emulated processors take their time. */
const deadlineMs = 180_000

t.test(
  `${bursts.length} applications that fill their memory in a burst are given more in place: none is killed, none restarted`,
  beside(),
  async (t) => {
    const stage = await openStage(t, {
      programs: ['fill.c'],
      config: `memory: { resizeSocket: ${resizeSocket} }`,
    })
    const held = await heldOf(t, bursts, async ({ run, ...shape }) => {
      const pod = await stage.run(growing({ ...shape, pauseUs: 0, annotations: { key: `grow-${run}` } }))
      const resizer = await startResizer(t, pod)
      await pod.waitUntilEnded(deadlineMs)
      return {
        'the right result': sumOf(pod) === (await undisturbedSum(shape.mebibytes)),
        'no kill, no restart': isUndisturbed(pod, 0),
        'given more': resizer.asked.length > 0,
      }
    })
    t.comment(`${bursts.length} runs with grow: held ${held}`)
    t.equal(held, bursts.length)
  },
)

t.test(
  `${bursts.length} applications that fill their memory in a burst are rescheduled: each replacement goes on where it was, with more`,
  beside(),
  async (t) => {
    const stage = await openStage(t, { programs: ['fill.c'] })
    const held = await heldOf(t, bursts, async ({ run, ...shape }) => {
      const lineage = `tests/key/next-${run}`
      const wish = { ...shape, pauseUs: 0, annotations: { key: `next-${run}`, 'on-memory-pressure': 'reschedule' } } // prettier-ignore
      const first = await stage.runPlain(stage.admit(growing(wish), new Map()))
      await first.waitUntilEnded(deadlineMs)
      const [stoppedAt = 0] = numbersIn(first, /^mib (\d+)$/).slice(-1)
      const needs = await needsOf(stage, lineage)
      const second = await stage.runPlain(stage.admit(growing(wish), needs))
      await second.waitUntilEnded(deadlineMs)
      const [wentOnAt = 0] = numbersIn(second, /^mib (\d+)$/)
      // A hundred of them would fill the disk.
      rmSync(join(stage.storeFolder, encodeName(lineage)), { recursive: true })
      return {
        'ended to be tried again': isUndisturbed(first, 75),
        'more memory': (needs.get(application) ?? 0) > shape.limitMiB * 2 ** 20,
        'went on where it was': wentOnAt >= stoppedAt && stoppedAt > shape.limitMiB / 2,
        'the right result': sumOf(second) === (await undisturbedSum(shape.mebibytes)),
        'no kill, no restart': isUndisturbed(second, 0),
      }
    })
    t.comment(`${bursts.length} runs with reschedule: held ${held}`)
    t.equal(held, bursts.length)
  },
)

/** How many of them hold in everything; what does not is told, and does not keep the next from running. */
async function heldOf(
  t: Test,
  bursts: Burst[],
  work: (burst: Burst) => Promise<Record<string, boolean>>,
): Promise<number> {
  let held = 0
  await twoAtATime(bursts, async (burst) => {
    const startedAt = performance.now()
    const what = `run ${burst.run}, ${burst.limitMiB} MiB, ${burst.threads} threads`
    try {
      const missed = Object.entries(await work(burst)).flatMap(([name, holds]) => (holds ? [] : [name]))
      if (missed.length > 0) t.fail(`${what}: not ${missed.join(', not ')}`)
      else held++
    } catch (error) {
      t.fail(`${what}: ${String(error)}`)
    }
    t.comment(`${what}: ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
  })
  return held
}

/** The application ended with the code, and nothing in the pod was killed for memory or started twice. */
function isUndisturbed(pod: Pod, code: number): boolean {
  const { initContainerStatuses, containerStatuses } = pod.status()
  return (
    exitCodeOf(pod) === code &&
    [...initContainerStatuses, ...containerStatuses].every(
      ({ state, restartCount }) =>
        restartCount === 0 && state.kind === 'terminated' && state.reason !== 'OOMKilled',
    )
  )
}
