/** Checkpoints that nobody asked for: they cost the application what they say, and a death that nobody announced costs one interval. */
import { availableParallelism } from 'node:os'
import t from 'tap'
import { costMs } from '../../sidecar/triggers/interval/young-daly.ts'
import type { Measured } from '../../sidecar/container/ledger.ts'
import { poll, sleep } from '../harness/deadline.ts'
import type { Pod } from '../harness/pod.ts'
import { pythonImage } from '../images/debian.ts'
import {
  application,
  deadlineMs,
  openStage,
  podOf,
  sidecarEntries,
  statusOf,
  type LogEntry,
} from './support.ts'
import { goesOn, restoredFrom, stepsOf, verifiedManifests } from './survivor.ts'

const intervalMs = 1_500
const rounds = 10

const takenOf = (pod: Pod): LogEntry[] => sidecarEntries(pod).filter(({ msg, trigger }) => msg === 'a checkpoint was taken' && trigger === 'interval') // prettier-ignore

/** What `make demo` runs, beside others that want all of the machine's processors. */
const demoUnderLoad = () =>
  podOf({
    command: ['python3', '/app/train_numpy.py'],
    env: [
      { name: 'STEPS', value: '1000000' },
      { name: 'STEP_MS', value: '10' },
    ],
    annotations: { interval: `${intervalMs}ms` },
    spec: {
      containers: [
        {
          name: 'load',
          image: 'app',
          command: [
            '/bin/sh',
            '-c',
            `for _ in $(seq ${availableParallelism()}); do while :; do :; done & done; wait`,
          ],
        },
      ],
    },
  })

t.test(
  `${rounds} periodic checkpoints slow the demo under load by no more than they say, and bound what a crash costs`,
  async (t) => {
    const stage = await openStage(t, { programs: ['train_numpy.py'], base: await pythonImage() })
    const pod = await stage.run(demoUnderLoad())
    await poll(`${rounds + 1} checkpoints`, 2 * deadlineMs, () =>
      takenOf(pod).length > rounds ? true : undefined,
    )
    const taken = takenOf(pod).slice(0, rounds)
    // As the interval `auto` reckons.
    const saidMs = rounds * (costMs(taken.map(measuredBy)) ?? 0)
    const { lostMs, usualMs } = lostTo(pod, taken)
    t.comment(`${rounds} checkpoints: ${Math.round(lostMs)} ms lost, ${Math.round(saidMs)} ms said; a step takes ${usualMs.toFixed(1)} ms`) // prettier-ignore
    t.ok(lostMs > 0 && lostMs <= saidMs, `${lostMs} ms lost, ${saidMs} ms said`)
    t.match((await statusOf(pod)).interval, [{ container: 'app', everyMs: intervalMs }])

    await verifiedManifests(stage)
    await pod.crash()
    const [newest] = await stage.manifests()
    const last = stepsOf(pod).at(-1)?.step ?? 0
    const next = await stage.run(demoUnderLoad())
    await goesOn(next)
    const from = await restoredFrom(next, newest?.id)
    t.ok(from !== undefined && from === newest?.id, 'it goes on from the newest')
    const lost = last - (stepsOf(next)[0]?.step ?? 0)
    // The one that was under way is lost with what came before it.
    const longestMs = Math.max(...taken.map(({ totalMs }) => Number(totalMs)))
    t.ok(lost * usualMs <= 2 * intervalMs + longestMs, `${lost} steps of ${usualMs} ms are done again`)
  },
)

/** A line of the log may come so much later than what it tells of. */
const lateMs = 20

/**
 * How much longer than usual the steps took that began while a checkpoint was under way, from CRIU's start to the last byte in the
 * store. Usual is the mean of the others: beside the same load. (Those that a point in time falls into are longer than the mean by that.)
 */
function lostTo(pod: Pod, taken: readonly LogEntry[]): { lostMs: number; usualMs: number } {
  const spans = taken.map(({ time, totalMs }) => {
    const to = Date.parse(String(time))
    return { from: to - Number(totalMs) - lateMs, to: to + lateMs }
  })
  const end = Math.max(...spans.map(({ to }) => to))
  const [beside, calm]: [number[], number[]] = [[], []]
  const times = stepsOf(pod).map(({ timeMs }) => timeMs).filter((time) => time <= end) // prettier-ignore
  for (const [index, time] of times.slice(1).entries()) {
    const before = times[index] ?? 0
    const meets = spans.some(({ from, to }) => from <= before && before < to)
    ;(meets ? beside : calm).push(time - before)
  }
  const usualMs = sum(calm) / calm.length
  return { lostMs: sum(beside) - beside.length * usualMs, usualMs }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function measuredBy({ startMs, frozenMs, storeCpuMs, totalBytes }: LogEntry): Measured {
  const phases = { startMs: Number(startMs), frozenMs: Number(frozenMs), storeCpuMs: Number(storeCpuMs) }
  return { phases, bytes: Number(totalBytes) }
}

const idleIntervalMs = 1_000
/** Waits for somebody who never writes. Not `sleep`: a dump interrupts that, and some go on by ending (docs/limits.md). */
const idle = ['/bin/sh', '-c', 'mkfifo /tmp/never; echo begun; exec cat /tmp/never']

t.test('an application that makes no progress is not saved again and again, and it is said', async (t) => {
  const stage = await openStage(t)
  const pod = await stage.run(podOf({ command: idle, annotations: { interval: `${idleIntervalMs}ms` } })) // prettier-ignore
  await pod.waitForLog(application, /begun/, { deadlineMs })
  const since = await poll('a turn to be skipped', deadlineMs, async () => {
    const status = await statusOf(pod).catch(() => undefined)
    return status?.interval?.[0]?.noProgressSince
  })
  // More than one only where being woken from it cost as much as work.
  const saved = takenOf(pod).length
  t.ok(saved > 0)
  await sleep(3 * idleIntervalMs)
  t.equal(takenOf(pod).length, saved)
  t.equal((await statusOf(pod)).interval?.[0]?.noProgressSince, since)
  const skipped = /a periodic checkpoint was skipped: the application neither computed nor changed its memory/
  t.equal(sidecarEntries(pod).filter(({ msg }) => skipped.test(msg)).length, 1, 'told once')
})
