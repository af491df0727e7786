import t from 'tap'
import { madeProgress } from '../../../../sidecar/triggers/interval/progress.ts'
import {
  firstPauseMs,
  fractionOf,
  jitterShare,
  pauseMs,
} from '../../../../sidecar/triggers/interval/schedule.ts'

const lineages = Array.from({ length: 1_000 }, (_, index) => `ml-team/StatefulSet/train/${index}`)

t.test('a thousand pods that begin together do not dump together', async (t) => {
  const firsts = lineages.map((lineage) => firstPauseMs(600_000, lineage, 'app'))
  t.ok(Math.min(...firsts) >= 300_000 && Math.max(...firsts) < 900_000)
  const buckets = new Map<number, number>()
  for (const first of firsts)
    buckets.set(Math.floor(first / 6_000), (buckets.get(Math.floor(first / 6_000)) ?? 0) + 1)
  // Ten a bucket of a hundredth of the interval on the average: Poisson, so 30 is out of reach of chance.
  t.ok(Math.max(...buckets.values()) < 30, `at most ${Math.max(...buckets.values())} of 1000 in a hundredth`)
})

const gait = () => lineages.map((lineage, turn) => pauseMs(600_000, lineage, 'app', turn))

t.test('each lineage keeps its own gait, within a tenth', async (t) => {
  t.ok(gait().every((pause) => Math.abs(pause - 600_000) <= jitterShare * 600_000))
  t.same(gait(), gait(), 'the same in every life')
  t.not(pauseMs(600_000, 'a', 'app', 1), pauseMs(600_000, 'a', 'app', 2))
  t.not(pauseMs(600_000, 'a', 'app', 1), pauseMs(600_000, 'a', 'other', 1))
  t.ok(fractionOf('') >= 0 && fractionOf('') < 1)
})

t.test('progress is time used or memory changed since it stood still', async (t) => {
  const then = { cpuMs: 1_000, memoryBytes: 5 }
  t.equal(madeProgress(then, { cpuMs: 1_020, memoryBytes: 5 }), false, 'waking costs a tick or two')
  t.equal(madeProgress(then, { cpuMs: 1_030, memoryBytes: 5 }), true)
  t.equal(madeProgress(then, { cpuMs: 1_000, memoryBytes: 4_101 }), true)
  t.equal(madeProgress(then, { cpuMs: 10, memoryBytes: 5 }), true, 'it began anew')
  const unclear = { cpuMs: 1_000, memoryBytes: 5, forgetsChildren: true }
  t.equal(madeProgress(then, unclear), true, 'children may have worked and ended')
  t.equal(madeProgress({ cpuMs: 1_000, memoryBytes: undefined }, { cpuMs: 1_000, memoryBytes: 5 }), false)
})
