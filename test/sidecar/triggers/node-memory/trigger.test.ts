/** A node that runs out of memory, played with a clock of its own: when checkpoints are asked for, and how often. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { CheckpointOutcome, CheckpointRequest } from '../../../../sidecar/checkpoint/request.ts'
import {
  NodeMemoryTrigger,
  type NodeMemoryOptions,
} from '../../../../sidecar/triggers/node-memory/trigger.ts'
import { quietLog } from '../../quiet-log.ts'

const mebibyte = 1024 ** 2
const taken: CheckpointOutcome = { outcome: 'taken', id: 'one', phases: {} }
const failed: CheckpointOutcome = { outcome: 'failed', reason: 'dump-failed', detail: 'no' }

type Asked = { atMs: number; name: string; request: CheckpointRequest; done: (outcome: CheckpointOutcome) => void } // prettier-ignore

/** @param availableAt MiB at a second; of a node of 64 GiB whose kubelet evicts below 100 MiB */
function node(t: Test, availableAt: (second: number) => number, parts: Partial<NodeMemoryOptions> = {}) {
  const proc = mkdtempSync(join(tmpdir(), 'reprieve-node-memory-'))
  t.teardown(() => rmSync(proc, { recursive: true, force: true }))
  const asked: Asked[] = []
  const played = { nowMs: 0, looks: 0, walks: 0, looksAt: [] as number[] }
  const trigger = new NodeMemoryTrigger({
    evictionBytes: 100 * mebibyte,
    rootOf: () => 1,
    isOnTrial: () => false,
    estimateMs: () => 25_000,
    log: quietLog,
    proc,
    bytesOf: async () => {
      played.walks++
      return 25 * 1024 * mebibyte
    },
    nowMs: () => played.nowMs,
    ...parts,
  })
  const names = ['app', 'other']
  const containers = new Map(
    names.map((name) => [
      name,
      {
        plan: { name },
        runs: async () => undefined,
        ending: () => undefined,
        checkpoint: (request: CheckpointRequest) =>
          new Promise<CheckpointOutcome>((done) => void asked.push({ atMs: played.nowMs, name, request, done })), // prettier-ignore
      },
    ]),
  )
  const look = async () => {
    const anon = (65_536 - availableAt(played.nowMs / 1000)) * 1024
    writeFileSync(join(proc, 'meminfo'), `MemTotal: ${65_536 * 1024} kB\nAnonPages: ${anon} kB\n`)
    played.looks++
    await trigger.look(containers)
    await new Promise((resolve) => setImmediate(resolve))
  }
  /** Until that second, every three seconds. */
  const play = async (untilSecond: number) => {
    for (; played.nowMs <= untilSecond * 1000; played.nowMs += 3_000) await look()
  }
  return { trigger, asked, played, play }
}

t.test('far from the threshold, a checkpoint begins as early as it has to', async (t) => {
  // 500 MiB a second from second 30 on: evicted 79.8 s later, and both checkpoints take 50 s together, and some.
  const { asked, play } = node(t, (second) => 40_000 - 500 * Math.max(0, second - 30))
  await play(60)
  t.strictSame(asked.map(({ name }) => name), ['app', 'other']) // prettier-ignore
  const [first] = asked
  const availableMiB = 40_000 - 500 * ((first?.atMs ?? 0) / 1000 - 30)
  t.ok(availableMiB > 50 * 500 + 100, `asked for with ${availableMiB} MiB available`)
  t.match(first?.request, { trigger: 'node-memory', afterwards: 'resume', reason: /shrinking by/ })
})

t.test('where it is fast, the quiet before it does not matter', async (t) => {
  // Evicted 32 s after second 30; one container of a checkpoint of 25 s.
  const { asked, play } = node(t, (second) => 16_100 - 500 * Math.max(0, second - 30), { rootOf: (name) => (name === 'app' ? 1 : undefined) }) // prettier-ignore
  await play(60)
  t.ok(asked[0] !== undefined && asked[0].atMs <= 36_000, `asked for at ${asked[0]?.atMs} ms`)
})

t.test('nothing is asked for, and no process table walked, while memory comes and goes', async (t) => {
  const { asked, played, play } = node(t, (second) => 40_000 + 30 * Math.sin(second))
  await play(600)
  t.equal(asked.length, 0)
  t.equal(played.walks, 0)
})

t.test('under a slow shrink the process table is walked once a minute for each container', async (t) => {
  const { asked, played, play } = node(t, (second) => 30_000 - 60 * Math.min(second, 150), {
    estimateMs: () => 2_000,
  })
  await play(150)
  t.equal(asked.length, 0)
  t.ok(played.walks > 0 && played.walks <= 2 * 3, `${played.walks} walks`)
})

t.test('the node is looked at while a checkpoint is taken, and nothing more is asked for', async (t) => {
  const { asked, played, play, trigger } = node(t, (second) => 8_000 - 100 * second)
  await play(60)
  t.equal(asked.length, 2)
  t.equal(played.looks, 21)
  t.match(trigger.status, { pressed: true, availableBytes: 2_000 * mebibyte })
})

t.test('a checkpoint that failed is tried again after ten seconds, three times', async (t) => {
  const { asked, played, play } = node(t, (second) => 9_000 - 100 * Math.min(second, 89))
  await play(42)
  t.equal(asked.length, 2)
  asked[0]?.done(taken)
  asked[1]?.done(failed)
  for (let count = 0; count < 6; count++) {
    await play(played.nowMs / 1000 + 12)
    asked.at(-1)?.done(failed)
  }
  const again = asked.slice(2)
  t.strictSame(
    again.map(({ name }) => name),
    ['other', 'other', 'other'],
    'and only of the container whose it was',
  )
  t.ok(again.every(({ atMs }, index) => atMs - (again[index - 1]?.atMs ?? 0) >= 10_000))
})

t.test(
  'under lasting pressure there is one every five minutes, and no sooner after it was over',
  async (t) => {
    const { asked, play, trigger } = node(t, (second) => (second < 400 ? 90 : second < 500 ? 60_000 : 90))
    await play(200)
    for (const { done } of asked) done(taken)
    t.equal(asked.length, 2)
    await play(390)
    for (const { done } of asked) done(taken)
    t.equal(asked.length, 4)
    await play(490)
    t.match(trigger.status, { pressed: false })
    await play(590)
    t.equal(asked.length, 4)
    await play(620)
    t.equal(asked.length, 6)
  },
)

t.test('pressure that comes and goes asks for no more', async (t) => {
  const { asked, played, play } = node(t, (second) => (second % 60 < 30 ? 40_000 : 5_000))
  while (played.nowMs < 900_000) {
    await play(played.nowMs / 1000)
    for (const { done } of asked) done(taken)
  }
  t.ok(asked.length >= 4 && asked.length <= 2 * 3, `${asked.length} checkpoints in 15 min`)
})

t.test('a share of the capacity is a threshold as well', async (t) => {
  const { asked, play } = node(t, () => 3_000, { evictionBytes: 0, evictionPercent: 5 })
  await play(3)
  t.match(asked[0]?.request, { reason: new RegExp(`evicted below ${Math.trunc(65_536 * 0.05 * mebibyte)};`) })
})

t.test('what another container holds is asked for when it begins to run', async (t) => {
  let second = false
  const { played, play } = node(t, (at) => 40_000 - 70 * at, {
    estimateMs: () => 1_000,
    rootOf: (name) => (name === 'app' || second ? 1 : undefined),
  })
  await play(9)
  t.equal(played.walks, 1)
  second = true
  await play(12)
  t.equal(played.walks, 3)
})

/** The node is short of memory for good; of `other`, what is on trial is so until told. */
function withTrial(t: Test, rootOf: (name: string) => number | undefined = () => 1) {
  const trial = { lasts: true }
  const played = node(t, () => 90, { isOnTrial: (name) => name === 'other' && trial.lasts, rootOf })
  const names = () => played.asked.map(({ name }) => name)
  return { ...played, trial, names }
}

t.test('none is taken of what has just been restored, until it has proved alive', async (t) => {
  const { asked, played, play, trial, names } = withTrial(t)
  await play(9)
  t.strictSame(names(), ['app'])
  asked[0]?.done(taken)
  await play(60)
  t.strictSame(names(), ['app'])
  trial.lasts = false
  await play(played.nowMs / 1000 + 3)
  t.strictSame(names(), ['app', 'other'], 'long after the others’')
  asked[1]?.done(taken)
  await play(290)
  t.equal(asked.length, 2)
})

t.test('who was on trial is tried again as often as others when it fails', async (t) => {
  const { asked, played, play, trial, names } = withTrial(t)
  await play(3)
  asked[0]?.done(failed)
  await play(18)
  t.strictSame(names(), ['app', 'app'], 'the trial is in nobody’s way')
  asked[1]?.done(taken)
  trial.lasts = false
  for (let count = 0; count < 8; count++) {
    await play(played.nowMs / 1000 + 12)
    asked.at(-1)?.done(failed)
  }
  t.strictSame(names().slice(2), ['other', 'other', 'other'])
})

t.test('what dies on trial is not asked for while it does not run', async (t) => {
  let runs = true
  const { asked, play, trial, names } = withTrial(t, (name) => (name === 'app' || runs ? 1 : undefined))
  await play(3)
  asked[0]?.done(taken)
  trial.lasts = runs = false
  await play(60)
  t.strictSame(names(), ['app'])
  trial.lasts = runs = true
  await play(120)
  trial.lasts = false
  await play(140)
  t.strictSame(names(), ['app', 'other'])
})

t.test('one that failed and was restored meanwhile is on trial as any other', async (t) => {
  const { asked, play, trial, names } = withTrial(t)
  trial.lasts = false
  await play(3)
  asked[0]?.done(taken)
  asked[1]?.done(failed)
  trial.lasts = true
  await play(60)
  t.strictSame(names(), ['app', 'other'])
  trial.lasts = false
  await play(80)
  t.strictSame(names(), ['app', 'other', 'other'])
})
