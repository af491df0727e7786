import t from 'tap'
import type { Measured } from '../../../../sidecar/container/ledger.ts'
import { autoIntervalMs, costMs, firstMs, longestMs, mostBusyShare, shortestMs, youngDalyMs } from '../../../../sidecar/triggers/interval/young-daly.ts' // prettier-ignore

const hour = 3_600_000
const measured = (frozenMs: number, totalMs = frozenMs): Measured => ({
  phases: { frozenMs, totalMs },
  bytes: 1,
})

t.test(
  'the interval is the root of twice the cost and the mean time between failures, within bounds',
  async (t) => {
    t.equal(youngDalyMs(2_000, 100 * hour), Math.sqrt(2 * 2_000 * 100 * hour))
    t.equal(autoIntervalMs([measured(2_000)], 24 * hour), youngDalyMs(2_000, 24 * hour))
    t.equal(autoIntervalMs([measured(1_000), measured(3_000)], 24 * hour), youngDalyMs(2_000, 24 * hour))
    t.equal(autoIntervalMs([], 24 * hour), firstMs, 'nothing is known yet')
    const phases = { startMs: 100, frozenMs: 1_000, storeCpuMs: 600, totalMs: 3_000 }
    t.equal(costMs([{ phases, bytes: 1 }]), 100 + 1_000 + 600, 'what it waits for, and what storing computes')
    t.equal(autoIntervalMs([measured(1)], hour), shortestMs)
    t.equal(autoIntervalMs([measured(60_000)], 87_600 * hour), longestMs)
    t.equal(
      autoIntervalMs([measured(500, 60_000)], hour),
      60_000 / mostBusyShare,
      'storing must not go on always',
    )
  },
)

t.test(
  'one that ended the application took its dump from it, not the time it stood still to be stored',
  async (t) => {
    const resumed: Measured = { phases: { startMs: 100, dumpMs: 500, archiveMs: 600, frozenMs: 650, storeCpuMs: 100, totalMs: 4_000 }, bytes: 1, ended: false } // prettier-ignore
    const ended: Measured = {
      phases: { ...resumed.phases, frozenMs: 60_000, totalMs: 61_000 },
      bytes: 1,
      ended: true,
    }
    t.equal(costMs([resumed]), 100 + 650 + 100)
    t.equal(costMs([ended]), 100 + 600 + 100)
    t.equal(costMs([{ ...ended, phases: { ...ended.phases, dumpMs: 700 } }]), 100 + 700 + 100)
    t.ok(autoIntervalMs([resumed, resumed, ended], 24 * hour) <= autoIntervalMs([resumed], 24 * hour))
  },
)

/** mulberry32: the same failures in every run of the test. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

type Machine = { costMs: number; restoreMs: number; mtbfMs: number; workMs: number }

/** How long the work takes on a machine that fails by a Poisson process: failures hit work, checkpoints and restores alike. */
function runMs(
  intervalMs: number,
  { costMs, restoreMs, mtbfMs, workMs }: Machine,
  random: () => number,
): number {
  const draw = () => -mtbfMs * Math.log(1 - random())
  let now = 0
  let failsAt = draw()
  let saved = 0
  for (;;) {
    // One interval: work, then a checkpoint of it, unless the work is done.
    const work = Math.min(intervalMs, workMs - saved)
    const isLast = work === workMs - saved
    const end = now + work + (isLast ? 0 : costMs)
    if (end <= failsAt) {
      now = end
      saved += work
      if (isLast) return now
      continue
    }
    for (now = failsAt, failsAt = now + draw(); failsAt < now + restoreMs; failsAt = now + draw())
      now = failsAt
    now += restoreMs
  }
}

/** Expected time for one unit of work (Daly 2006, eq. 13): exact for exponential failures, restart and checkpoint included. */
function expectedFactor(intervalMs: number, { costMs, restoreMs, mtbfMs }: Machine): number {
  return (mtbfMs * Math.exp(restoreMs / mtbfMs) * (Math.exp((intervalMs + costMs) / mtbfMs) - 1)) / intervalMs
}

function leastFactor(machine: Machine): number {
  let least = Number.POSITIVE_INFINITY
  for (let interval = 1_000; interval < 2 * machine.mtbfMs; interval *= 1.01)
    least = Math.min(least, expectedFactor(interval, machine))
  return least
}

const runs = 1_000
for (const mtbfMs of [hour, 6 * hour, 24 * hour])
  t.test(
    `a mean time between failures of ${mtbfMs / hour} h: what is lost is within 10 % of the least`,
    async (t) => {
      const costMs = 5_000
      // Long enough for some thirty failures each, so that chance does not decide.
      const machine = { costMs, restoreMs: 10_000, mtbfMs, workMs: 30 * mtbfMs }
      const interval = autoIntervalMs([measured(costMs, 8_000)], mtbfMs)
      t.ok(interval > shortestMs && interval < longestMs, 'no bound is met')
      const random = generator(mtbfMs)
      let total = 0
      for (let run = 0; run < runs; run++) total += runMs(interval, machine, random)
      const wasted = total / runs / machine.workMs - 1
      const least = leastFactor(machine) - 1
      t.comment(`${runs} runs, interval ${Math.round(interval / 1_000)} s: ${(100 * wasted).toFixed(2)} % lost, the least is ${(100 * least).toFixed(2)} %`) // prettier-ignore
      t.ok(wasted < 1.1 * least, `${wasted} is within 10 % of ${least}`)
      // The simulation can tell: an interval four times as long, or a quarter, is worse by more than that.
      for (const wrong of [interval * 4, interval / 4]) {
        let lost = 0
        for (let run = 0; run < runs / 4; run++) lost += runMs(wrong, machine, random)
        t.ok(lost / (runs / 4) / machine.workMs - 1 > 1.1 * least, `${wrong} ms is not`)
      }
    },
  )
