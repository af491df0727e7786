/** Checkpoints that nobody asked for: they cost the application what they say, and a death that nobody announced costs one interval. */
import t from 'tap'
import { costMs } from '../../sidecar/interval/young-daly.ts'
import { poll } from '../harness/deadline.ts'
import { deadlineMs, sidecarEntries, statusOf, type LogEntry } from './support.ts'
import type { Pod } from '../harness/pod.ts'
import {
  lastStep,
  openSurvivorStage,
  restoredFrom,
  runSurvivor,
  stepsOf,
  verifiedManifests,
} from './survivor.ts'

const intervalMs = 1_000
const rounds = 10

const takenOf = (pod: Pod): LogEntry[] => sidecarEntries(pod).filter(({ msg, trigger }) => msg === 'a checkpoint was taken' && trigger === 'interval') // prettier-ignore

t.test(
  `${rounds} periodic checkpoints slow an application by no more than they say, and bound what a crash costs`,
  async (t) => {
    const stage = await openSurvivorStage(t)
    const options = { mebibytes: 32, stepMs: 10, annotations: { interval: `${intervalMs}ms` } }
    const pod = await runSurvivor(stage, options)
    await poll(`${rounds + 1} checkpoints`, 2 * deadlineMs, () =>
      takenOf(pod).length > rounds ? true : undefined,
    )
    const taken = takenOf(pod).slice(0, rounds)
    const phases = taken.map(({ startMs, frozenMs }) => ({
      startMs: Number(startMs),
      frozenMs: Number(frozenMs),
    }))
    // As the interval `auto` reckons.
    const saidMs = rounds * (costMs(phases.map((each) => ({ phases: each, bytes: 0 }))) ?? 0)
    const gaps = gapsOf(pod)
    const usualMs = gaps.toSorted((a, b) => a - b)[Math.floor(gaps.length / 2)] ?? 0
    // What a step took longer than usual: the longest gaps are the dumps, as many as there were.
    const lostMs = gaps.toSorted((a, b) => b - a).slice(0, rounds).reduce((sum, gap) => sum + gap - usualMs, 0) // prettier-ignore
    t.comment(
      `${rounds} checkpoints: ${lostMs} ms lost, ${Math.round(saidMs)} ms said; a step takes ${usualMs} ms`,
    )
    t.ok(lostMs <= saidMs, `${lostMs} ms lost of ${gaps.length} steps, ${saidMs} ms said`)
    t.match((await statusOf(pod)).interval, [{ container: 'app', everyMs: intervalMs }])

    const newest = (await verifiedManifests(stage))[0]
    await pod.crash()
    const last = lastStep(pod)
    const next = await runSurvivor(stage, options)
    const from = await restoredFrom(next, newest?.id)
    t.ok(from !== undefined && from >= (newest?.id ?? ''), 'it goes on from the newest')
    const lost = last - (stepsOf(next)[0]?.step ?? 0)
    t.ok(lost * usualMs <= 2 * intervalMs, `${lost} steps of ${usualMs} ms are done again`)
  },
)

function gapsOf(pod: Pod): number[] {
  const times = stepsOf(pod).map(({ timeMs }) => timeMs)
  return times.slice(1).map((time, index) => time - (times[index] ?? 0))
}
