/** cgroup v1, by a clock that the test moves. */
import t from 'tap'
import type { Test } from 'tap'

import { MemoryCgroup } from '../../../../sidecar/triggers/memory/memory-cgroup.ts'
import {
  nextLookMs,
  PolledUsage,
  type PolledUsageOptions,
} from '../../../../sidecar/triggers/memory/polled-usage.ts'
import type { Crossing } from '../../../../sidecar/triggers/memory/tripwire.ts'
import { quietLog } from '../../quiet-log.ts'
import { fakeClock } from '../../../fake-clock.ts'

t.test('looks the more often the faster it grows and the nearer it is', async (t) => {
  const mebibyte = 1024 ** 2
  t.equal(nextLookMs(100 * mebibyte, 0), 500, 'nothing grows')
  t.equal(nextLookMs(100 * mebibyte, -5), 500, 'it shrinks')
  t.equal(nextLookMs(100 * mebibyte, mebibyte), 25, 'a quarter of the 100 ms that are left')
  t.equal(nextLookMs(10 * mebibyte, mebibyte), 10, 'never more often than every 10 ms')
  t.equal(nextLookMs(-1, mebibyte), 10)
})

/** A cgroup whose figures are said without a look at any file, so that nothing waits for the machine. */
function cgroupOf(t: Test, limitBytes = 100_000_000) {
  const cgroup = new MemoryCgroup(1, '/nonexistent')
  const of = { limitBytes, currentBytes: 0, reclaimableBytes: 0, looks: 0 }
  cgroup.limitBytes = async () => of.limitBytes
  cgroup.usage = async () => (of.looks++, of)
  const watch = (options: Pick<PolledUsageOptions, 'crossed' | 'relieved'>) => {
    const watch = new PolledUsage({ cgroup, percent: 85, log: quietLog, ...options })
    t.teardown(() => watch.stop())
    return watch
  }
  return { clock: fakeClock(t), cgroup, of, watch }
}

t.test('a pause between two looks is not taken for the end of the growth', async (t) => {
  const { clock, cgroup, watch } = cgroupOf(t)
  // Twice the same, just below the threshold, after steady growth: the next look must not be half a second away.
  const sizes = [0, 40, 60, 75, 80, 84, 84, 99].map((megabytes) => megabytes * 1_000_000)
  const looks: number[] = []
  cgroup.usage = async () => {
    looks.push(clock.ms())
    return { currentBytes: sizes[looks.length - 1] ?? 99_000_000, reclaimableBytes: 0 }
  }
  let isCrossed = false
  await watch({ crossed: async () => void (isCrossed = true) }).start()
  await clock.until('the crossing', () => isCrossed)
  t.equal(looks.length, sizes.length)
  const lastPause = (looks.at(-1) ?? 0) - (looks.at(-2) ?? 0)
  t.ok(lastPause < 250, `looked again after ${lastPause} ms`)
})

t.test('tells of a crossing, and of the next one only when usage has gone down in between', async (t) => {
  const { clock, of, watch: begin } = cgroupOf(t, Number.POSITIVE_INFINITY)
  of.currentBytes = 5_000_000
  const crossings: Crossing[] = []
  const watch = begin({
    crossed: async (crossing) => {
      crossings.push(crossing)
      await watch.disarm()
    },
  })
  await watch.start()
  t.equal(watch.state, 'no-limit')
  of.limitBytes = 10_000_000
  await clock.until('a limit', () => watch.state === 'armed')
  Object.assign(of, { currentBytes: 9_900_000, reclaimableBytes: 5_000_000 })
  await clock.pass(10_000)
  t.strictSame(crossings, [], 'page cache is no crossing')
  Object.assign(of, { currentBytes: 9_000_000, reclaimableBytes: 0 })
  await clock.until('a crossing', () => crossings.length === 1)
  of.currentBytes = 8_400_000
  await clock.pass(2_000)
  of.currentBytes = 9_000_000
  await clock.pass(10_000)
  t.equal(crossings.length, 1, 'a tooth is none')
  of.currentBytes = 7_000_000
  await clock.until('it to be armed again', () => watch.state === 'armed')
  of.currentBytes = 9_500_000
  await clock.until('the second', () => crossings.length === 2)
})

t.test('a watch that has ended stays so, whatever a crossing is still answered with', async (t) => {
  const { clock, of, watch: begin } = cgroupOf(t)
  of.currentBytes = 99_000_000
  const answer = Promise.withResolvers<void>()
  let isTold = false
  const watch = begin({
    crossed: async () => {
      isTold = true
      await answer.promise
    },
  })
  await watch.start()
  await clock.until('the crossing', () => isTold)
  await watch.stop()
  const before = of.looks
  await watch.disarm()
  t.equal(watch.state, 'stopped')
  await watch.arm()
  t.equal(watch.state, 'stopped')
  answer.resolve()
  await clock.pass(10_000)
  t.equal(of.looks, before)
})

t.test('a crossing that nothing could be done about is not told a hundred times a second', async (t) => {
  const { clock, of, watch } = cgroupOf(t)
  of.currentBytes = 99_000_000
  const told: number[] = []
  await watch({ crossed: async () => void told.push(clock.ms()) }).start()
  await clock.until('five of them', () => told.length >= 5)
  const pauses = told.slice(1).map((at, index) => at - (told[index] ?? 0))
  t.ok(Math.min(...pauses) >= 100, `pauses of ${pauses.join(', ')} ms`)
})

t.test('what was released is watched again as soon as its limit is raised far enough', async (t) => {
  const { clock, of, watch: begin } = cgroupOf(t)
  of.currentBytes = 95_000_000
  let [crossings, relieved] = [0, 0]
  const watch = begin({
    crossed: async () => {
      crossings++
      await watch.disarm()
    },
    relieved: () => relieved++,
  })
  const twoLooks = async () => {
    const before = of.looks
    await clock.until('two looks', () => of.looks >= before + 2)
  }
  await watch.start()
  await clock.until('it to run unhindered', () => watch.state === 'let-go')
  of.currentBytes = 84_000_000
  await twoLooks()
  t.equal(watch.state, 'let-go', 'of a limit that is the same a tooth is no relief')
  of.currentBytes = 95_000_000
  of.limitBytes = 105_000_000
  await twoLooks()
  t.equal(watch.state, 'let-go', 'it fills that as well')
  of.limitBytes = 120_000_000
  await clock.until('it to be watched again', () => watch.state === 'armed')
  t.equal(relieved, 1)
  t.equal(crossings, 1)
  of.currentBytes = 110_000_000
  await clock.until('the next crossing', () => crossings === 2)
})
