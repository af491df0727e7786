import t from 'tap'
import type { Measured } from '../../../../sidecar/container/ledger.ts'
import { assumed, estimate, tookMost } from '../../../../sidecar/container/rates.ts'
import {
  deadlineOf,
  explainPlan,
  planTimeLeft,
  safetyFactor,
  type Need,
} from '../../../../sidecar/triggers/notices/time-plan.ts'

const mebibyte = 1 << 20

/** 100 MiB that take 100 ms to begin, 1 s to dump and 4 s to store: 5.1 s, with the safety factor 6.375 s. */
const measured: Measured = {
  phases: { startMs: 100, dumpMs: 1_000, archiveMs: 500, frozenMs: 1_050, totalMs: 5_100 },
  bytes: 100 * mebibyte,
}

function need(container: string, more: Partial<Need> = {}): Need {
  return {
    container,
    took: tookMost([measured]),
    memoryBytes: 90 * mebibyte,
    unsavedMs: 60_000,
    hasCheckpoint: true,
    ...more,
  }
}
const plans = (needs: Need[], leftMs: number) => planTimeLeft(needs, leftMs).map(({ container, plan }) => `${container}: ${plan}`) // prettier-ignore

const table: [string, number, string][] = [
  ['all the time there is', 120_000, 'full'],
  ['just enough', 5_100 * safetyFactor, 'full'],
  ['enough to dump, but not to store', 5_100 * safetyFactor - 1, 'cut-short'],
  ['just enough to dump', 1_100 * safetyFactor, 'cut-short'],
  ['not enough to dump', 1_100 * safetyFactor - 1, 'keep-last'],
  ['nothing', 0, 'keep-last'],
  ['less than nothing', -1_000, 'keep-last'],
]
for (const [what, leftMs, plan] of table)
  t.test(`with ${what}: ${plan}`, async (t) => {
    t.same(plans([need('app')], leftMs), [`app: ${plan}`])
  })

t.test('without anything to fall back to even half a chance is taken', async (t) => {
  t.same(plans([need('app', { hasCheckpoint: false })], 500), ['app: cut-short'])
  t.same(plans([need('app', { hasCheckpoint: false })], 0), ['app: keep-last'])
  t.same(
    plans([need('app', { took: tookMost([]), memoryBytes: 2 ** 40 })], 500),
    ['app: full'],
    'never measured',
  )
})

t.test('several containers take their turns, those first of which each second saves most', async (t) => {
  const little = need('little', { unsavedMs: 1_000 })
  const much = need('much', { unsavedMs: 600_000 })
  const small = need('small', { took: tookMost([{ phases: { ...measured.phases, totalMs: 1_200 }, bytes: 100 * mebibyte }]) }) // prettier-ignore
  t.same(plans([little, much, small], 120_000), ['much: full', 'small: full', 'little: full'])
  t.same(plans([little, much, small], 8_000), ['much: full', 'small: full', 'little: keep-last'])
  t.same(plans([little, much, small], 7_000), ['much: full', 'small: keep-last', 'little: keep-last'])
  t.same(plans([little, much], 10_000), ['much: full', 'little: cut-short'])
  // One that is too large for all the time there is leaves it to those that are not.
  const huge = need('huge', { unsavedMs: 10 ** 9, memoryBytes: 100_000 * mebibyte })
  t.same(plans([huge, much], 8_000), ['much: full', 'huge: keep-last'])
  t.same(plans([huge, huge], 200_000), ['huge: cut-short', 'huge: keep-last'], 'only one is cut short')
})

t.test('what was never measured and seems not to fit leaves the time to those that do', async (t) => {
  const unknown = need('unknown', { took: tookMost([]), memoryBytes: 2 ** 40, unsavedMs: 10 ** 12 })
  t.same(plans([unknown, need('app')], 20_000), ['app: full', 'unknown: full'])
  t.same(plans([unknown, need('app')], 6_375), ['app: full', 'unknown: keep-last'])
})

t.test('a step that turns out slow is cut short for those after it that fit', async (t) => {
  const steps = planTimeLeft([need('a'), need('b'), need('c')], 15_000)
  t.same(steps.map(({ plan }) => plan), ['full', 'full', 'cut-short']) // prettier-ignore
  t.same(steps.map((step) => deadlineOf(steps, step, 100_000)), [100_000 - 6_375, 100_000, 100_000]) // prettier-ignore
})

t.test('the time left is counted down', async (t) => {
  t.match(planTimeLeft([need('a'), need('b')], 20_000), [
    { container: 'a', needMs: 6_375, startMs: 100, dumpMs: 1_000, storeMs: 4_000, leftMs: 20_000 },
    { container: 'b', leftMs: 13_625 },
  ])
})

t.test('the slowest of the last checkpoints counts, and what has grown since', async (t) => {
  const quick: Measured = {
    phases: { startMs: 10, dumpMs: 10, archiveMs: 20, totalMs: 50 },
    bytes: 200 * mebibyte,
  }
  const took = tookMost([quick, measured])
  t.match(took, { startMs: 100, dumpMs: 1_000, storeMs: 4_000, bytes: 100 * mebibyte, measured: true })
  t.same(
    estimate(took, 50 * mebibyte),
    { startMs: 100, dumpMs: 1_000, storeMs: 4_000 },
    'it may be large again',
  )
  const doubled = estimate(took, 200 * mebibyte)
  t.equal(
    doubled.storeMs,
    4_000 + (100 * mebibyte) / assumed.storeBytesPerMs,
    'a gigabit is faster than measured',
  )
  t.equal(doubled.dumpMs, 1_000 + (100 * mebibyte) / assumed.dumpBytesPerMs)
  const fast = tookMost([{ phases: { startMs: 1, dumpMs: 10, totalMs: 21 }, bytes: 100 * mebibyte }])
  t.equal(estimate(fast, 200 * mebibyte).storeMs, 20, 'and this was faster than a gigabit')
  t.match(tookMost([{ phases: {}, bytes: 0 }]), {
    startMs: 0,
    dumpMs: 0,
    storeMs: 0,
    bytes: 0,
    measured: true,
  })
  t.ok(Number.isFinite(estimate(tookMost([{ phases: {}, bytes: 0 }]), mebibyte).dumpMs))
})

t.test('the decision and its arithmetic are one line', async (t) => {
  t.equal(
    explainPlan(planTimeLeft([need('app'), need('log', { memoryBytes: 200 * mebibyte })], 8_000)),
    'app: full, 6375 ms needed (start 100, dump 1000, store 4000, a quarter for safety), 8000 ms left; ' +
      'log: cut-short, 7817 ms needed (start 100, dump 1105, store 5049, a quarter for safety), 1625 ms left',
  )
})
