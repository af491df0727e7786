/** cgroup v1, with a folder of plain files. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { poll } from '../../../harness/deadline.ts'
import { MemoryCgroup } from '../../../../sidecar/triggers/memory/memory-cgroup.ts'
import { nextLookMs, PolledUsage } from '../../../../sidecar/triggers/memory/polled-usage.ts'
import type { Crossing } from '../../../../sidecar/triggers/memory/tripwire.ts'
import { quietLog } from '../../quiet-log.ts'

t.test('looks the more often the faster it grows and the nearer it is', async (t) => {
  const mebibyte = 1024 ** 2
  t.equal(nextLookMs(100 * mebibyte, 0), 500, 'nothing grows')
  t.equal(nextLookMs(100 * mebibyte, -5), 500, 'it shrinks')
  t.equal(nextLookMs(100 * mebibyte, mebibyte), 25, 'a quarter of the 100 ms that are left')
  t.equal(nextLookMs(10 * mebibyte, mebibyte), 10, 'never more often than every 10 ms')
  t.equal(nextLookMs(-1, mebibyte), 10)
})

t.test('a pause between two looks is not taken for the end of the growth', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reprieve-polled-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'memory.limit_in_bytes'), '100000000')
  writeFileSync(join(folder, 'memory.stat'), 'total_inactive_file 0\n')
  const cgroup = new MemoryCgroup(1, folder)
  // Twice the same, just below the threshold, after steady growth: the next look must not be half a second away.
  const sizes = [0, 40, 60, 75, 80, 84, 84, 99].map((megabytes) => megabytes * 1_000_000)
  const looks: number[] = []
  cgroup.usage = async () => {
    looks.push(performance.now())
    return { currentBytes: sizes[looks.length - 1] ?? 99_000_000, reclaimableBytes: 0 }
  }
  const crossed = Promise.withResolvers<void>()
  const watch = new PolledUsage({
    cgroup,
    percent: 85,
    crossed: async () => crossed.resolve(),
    log: quietLog,
  })
  await watch.start()
  const alive = setInterval(() => undefined, 1_000)
  await crossed.promise
  clearInterval(alive)
  await watch.stop()
  const lastPause = (looks.at(-1) ?? 0) - (looks.at(-2) ?? 0)
  t.ok(lastPause < 250, `looked again after ${lastPause.toFixed(0)} ms`)
})

t.test('tells of a crossing, and of the next one only when usage has gone down in between', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reprieve-polled-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const uses = (bytes: number, cache = 0) => {
    writeFileSync(join(folder, 'memory.usage_in_bytes'), String(bytes))
    writeFileSync(join(folder, 'memory.stat'), `total_inactive_file ${cache}\ntotal_active_file 0\n`)
  }
  const limit = (text: string) => writeFileSync(join(folder, 'memory.limit_in_bytes'), text)
  limit('9223372036854771712')
  uses(5_000_000)
  const crossings: Crossing[] = []
  const watch = new PolledUsage({
    cgroup: new MemoryCgroup(1, folder),
    percent: 85,
    crossed: async (crossing) => {
      crossings.push(crossing)
      await watch.letGo()
    },
    log: quietLog,
  })
  await watch.start()
  t.teardown(() => watch.stop())
  const until = (what: string, holds: () => boolean) =>
    poll(what, 5_000, () => (holds() ? true : undefined), () => JSON.stringify({ state: watch.state, crossings })) // prettier-ignore
  t.equal(watch.state, 'no-limit')
  limit('10000000')
  await until('a limit', () => watch.state === 'armed')
  uses(9_900_000, 5_000_000)
  await new Promise((resolve) => setTimeout(resolve, 1_200))
  t.strictSame(crossings, [], 'page cache is no crossing')
  uses(9_000_000)
  await until('a crossing', () => crossings.length === 1)
  uses(8_400_000)
  uses(9_000_000)
  await new Promise((resolve) => setTimeout(resolve, 1_200))
  t.equal(crossings.length, 1, 'a tooth is none')
  uses(7_000_000)
  await until('it to be armed again', () => watch.state === 'armed')
  uses(9_500_000)
  await until('the second', () => crossings.length === 2)
})

function crowded(t: Test, crossed: () => Promise<void>) {
  const folder = mkdtempSync(join(tmpdir(), 'reprieve-polled-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'memory.limit_in_bytes'), '100000000')
  const cgroup = new MemoryCgroup(1, folder)
  let looks = 0
  cgroup.usage = async () => (looks++, { currentBytes: 99_000_000, reclaimableBytes: 0 })
  const watch = new PolledUsage({ cgroup, percent: 85, crossed, log: quietLog })
  t.teardown(() => watch.stop())
  return { watch, looks: () => looks }
}

t.test('a watch that has ended stays so, whatever a crossing is still answered with', async (t) => {
  const answer = Promise.withResolvers<void>()
  const told = Promise.withResolvers<void>()
  const { watch, looks } = crowded(t, async () => {
    told.resolve()
    await answer.promise
  })
  await watch.start()
  await poll(
    'the crossing',
    5_000,
    () => (looks() > 0 ? true : undefined),
    () => watch.state,
  )
  await told.promise
  await watch.stop()
  const before = looks()
  await watch.letGo()
  t.equal(watch.state, 'stopped')
  await watch.arm()
  t.equal(watch.state, 'stopped')
  answer.resolve()
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  t.equal(looks(), before)
})

t.test('a crossing that nothing could be done about is not told a hundred times a second', async (t) => {
  const told: number[] = []
  const { watch } = crowded(t, async () => void told.push(performance.now()))
  await watch.start()
  await poll(
    'five of them',
    10_000,
    () => (told.length >= 5 ? true : undefined),
    () => watch.state,
  )
  const pauses = told.slice(1).map((at, index) => at - (told[index] ?? 0))
  t.ok(Math.min(...pauses) >= 95, `pauses of ${pauses.map(Math.round).join(', ')} ms`)
})

t.test('what was let go is watched again as soon as its limit is raised far enough', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reprieve-polled-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const limit = (bytes: number) => writeFileSync(join(folder, 'memory.limit_in_bytes'), String(bytes))
  limit(100_000_000)
  const cgroup = new MemoryCgroup(1, folder)
  let [currentBytes, looks, crossings, relieved] = [95_000_000, 0, 0, 0]
  cgroup.usage = async () => (looks++, { currentBytes, reclaimableBytes: 0 })
  const watch = new PolledUsage({
    cgroup,
    percent: 85,
    crossed: async () => {
      crossings++
      await watch.letGo()
    },
    relieved: () => relieved++,
    log: quietLog,
  })
  t.teardown(() => watch.stop())
  const until = (what: string, holds: () => boolean) =>
    poll(what, 10_000, () => (holds() ? true : undefined), () => JSON.stringify({ state: watch.state, crossings })) // prettier-ignore
  const twoLooks = async () => {
    const before = looks
    await until('two looks', () => looks >= before + 2)
  }
  await watch.start()
  await until('it to be let go', () => watch.state === 'let-go')
  currentBytes = 84_000_000
  await twoLooks()
  t.equal(watch.state, 'let-go', 'of a limit that is the same a tooth is no relief')
  currentBytes = 95_000_000
  limit(105_000_000)
  await twoLooks()
  t.equal(watch.state, 'let-go', 'it fills that as well')
  limit(120_000_000)
  await until('it to be watched again', () => watch.state === 'armed')
  t.equal(relieved, 1)
  t.equal(crossings, 1)
  currentBytes = 110_000_000
  await until('the next crossing', () => crossings === 2)
})
