/** What is done about a full memory, with a folder of plain files for a cgroup: freezing and thawing are writes like any other. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import type { MemoryPlan } from '../../../src/pod-plan.ts'
import type { CheckpointRequest } from '../../../sidecar/checkpoint.ts'
import type { CheckpointOutcome } from '../../../sidecar/asked-checkpoints.ts'
import { MemoryCgroup } from '../../../sidecar/memory/memory-cgroup.ts'
import { answerCrossing, rescheduleCode, type Answered } from '../../../sidecar/memory/pressure.ts'
import type { Growth } from '../../../sidecar/memory/resource-grower.ts'
import { quietLog } from '../quiet-log.ts'
import { until } from '../stand-ins.ts'

const mebibyte = 1024 ** 2
const limitBytes = 1024 * mebibyte
const plan: MemoryPlan = {
  thresholdPercent: 85,
  answer: 'grow',
  maxBytes: 4 * limitBytes,
  resizeSocket: '/unused',
  recordsNeeds: true,
}
const crossing = { limitBytes, usage: { currentBytes: 900 * mebibyte, reclaimableBytes: 10 * mebibyte } }
const taken: CheckpointOutcome = { outcome: 'taken', id: 'x', phases: {} }
const failed: CheckpointOutcome = { outcome: 'failed', reason: 'dump-failed', detail: 'io_uring' }

type Setting = {
  plan?: Partial<MemoryPlan>
  growth?: Growth
  outcome?: CheckpointOutcome
  need?: { memoryBytes: number; podUid: string }
  records?: () => Promise<void>
  running?: boolean
  onTrial?: boolean
  dumpMs?: number
  /** Until when the store keeps everybody waiting; the time that the application may stand still is short then. */
  hangsUntil?: (state: { frozen: boolean; told: Answered[] }) => boolean
}

/** Everything that was done, in its order. */
async function answered(t: Test, setting: Setting) {
  const folder = mkdtempSync(join(tmpdir(), 'reprieve-pressure-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = (name: string) => join(folder, name)
  writeFileSync(file('memory.max'), String(limitBytes))
  writeFileSync(file('cgroup.events'), 'populated 1\nfrozen 1\n')
  writeFileSync(file('cgroup.freeze'), '0')
  const isFrozen = () => readFileSync(file('cgroup.freeze'), 'utf8') === '1'
  const did: string[] = []
  const note = (what: string) => did.push(isFrozen() ? `${what}, frozen` : what)
  const requests: CheckpointRequest[] = []
  const told: Answered[] = []
  const store = async () => {
    const { hangsUntil } = setting
    if (hangsUntil !== undefined) await until('the store', () => hangsUntil({ frozen: isFrozen(), told }))
  }
  const answer = await answerCrossing(
    {
      plan: { ...plan, ...setting.plan },
      container: {
        isRunning: () => setting.running ?? true,
        isOnTrial: setting.onTrial ?? false,
        fillsAgain: () => note('under suspicion'),
        checkpoint: async (request) => {
          note(`checkpoint to ${request.afterwards}`)
          requests.push(request)
          await store()
          if (setting.hangsUntil !== undefined) note('the store answers')
          await request.held?.()
          note('held by CRIU')
          await delay(setting.dumpMs ?? 0)
          return setting.outcome ?? taken
        },
        recordedNeed: async () => {
          await store()
          return setting.need
        },
        recordNeed: setting.records ?? (async (bytes) => void note(`recorded ${bytes / mebibyte}`)),
        leave: (code) => note(`left with ${code}`),
      },
      cgroup: new MemoryCgroup(2, folder),
      grower: {
        grow: async (name, bytes) => {
          note(`asked ${bytes / mebibyte} for ${name}`)
          // As the kernel keeps it: in whole pages.
          if (setting.growth?.outcome !== 'refused')
            writeFileSync(file('memory.max'), String(Math.floor(bytes / 4096) * 4096))
          return setting.growth ?? { outcome: 'accepted' }
        },
      },
      brake: { arm: async () => void note('brake set'), letGo: async () => void note('brake let go') },
      frozenMark: file('frozen'),
      name: 'train',
      launcherPid: 42,
      log: quietLog,
      told: (answered) => told.push(answered),
      ...(setting.hangsUntil === undefined ? {} : { standstillMs: 100 }),
    },
    crossing,
  )
  t.equal(isFrozen(), false, 'it is let go in the end')
  t.equal(existsSync(file('frozen')), false, 'and nothing says that it was frozen')
  return { answer, did, requests, told }
}

t.test('it stands still while it is given more, and goes on under the brake for the new limit', async (t) => {
  const { answer, did } = await answered(t, {})
  t.strictSame(did, ['asked 1536 for train, frozen', 'brake set, frozen'])
  t.match(answer, { did: 'grow', toBytes: 1536 * mebibyte, usedBytes: 890 * mebibyte, limitBytes })
})

t.test('a maximum that is no whole number of pages is grown to all the same', async (t) => {
  const { answer } = await answered(t, { plan: { maxBytes: 1_500_000_000 } })
  t.match(answer, { did: 'grow', toBytes: Math.floor(1_500_000_000 / 65536) * 65536, why: undefined })
})

t.test(
  'what cannot grow is recorded, ended with a checkpoint, and left with a code that is no success',
  async (t) => {
    const { answer, did, requests } = await answered(t, { growth: { outcome: 'refused', why: 'deferred' } })
    t.strictSame(did, [
      'asked 1536 for train, frozen',
      'recorded 1536, frozen',
      'checkpoint to end, frozen',
      'brake let go, frozen',
      'held by CRIU',
      `left with ${rescheduleCode}`,
    ])
    t.match(requests, [{ trigger: 'memory' }])
    t.match(answer, { did: 'reschedule', toBytes: 1536 * mebibyte })
    t.not(rescheduleCode, 0)
  },
)

t.test(
  'a need that is not recorded ends nothing: a checkpoint is kept, and the reasons are told',
  async (t) => {
    const { answer, did } = await answered(t, {
      plan: { answer: 'reschedule' },
      records: () => Promise.reject(new Error('the store is full')),
    })
    t.strictSame(did, [
      'checkpoint to resume, frozen',
      'brake let go, frozen',
      'held by CRIU',
      'brake let go',
    ])
    t.match(answer, { did: 'checkpoint', why: /could not be recorded: the store is full/ })
  },
)

t.test('a pod that was not given what it needs is not ended again for it', async (t) => {
  const need = { memoryBytes: 1536 * mebibyte, podUid: 'earlier' }
  const { answer, did } = await answered(t, { plan: { answer: 'reschedule' }, need })
  t.equal(did[0], 'checkpoint to resume, frozen')
  t.match(answer, { did: 'checkpoint', why: /1610612736 bytes were recorded as needed already/ })
  const more = await answered(t, {
    plan: { answer: 'reschedule' },
    need: { memoryBytes: 512 * mebibyte, podUid: 'earlier' },
  })
  t.match(more.answer, { did: 'reschedule' }, 'one that was given it, and needs still more, is')
})

t.test('without a checkpoint the application runs on unhindered, and it is told', async (t) => {
  const { answer, did } = await answered(t, { plan: { answer: 'checkpoint' }, outcome: failed })
  t.equal(did.at(-1), 'brake let go')
  t.match(answer, { did: 'nothing', why: 'no checkpoint: io_uring' })
  const ended = await answered(t, { plan: { answer: 'reschedule' }, outcome: failed })
  t.match(ended.answer, { did: 'nothing', why: /no checkpoint: io_uring/ })
  t.notOk(
    ended.did.some((what) => what.startsWith('left')),
    'it is not ended without one',
  )
})

t.test('at its maximum it keeps a checkpoint', async (t) => {
  const { answer } = await answered(t, { plan: { maxBytes: limitBytes } })
  t.match(answer, { did: 'checkpoint', why: /all that it may grow to/ })
})

t.test(
  'what has just been restored into the same memory is not saved anew: its checkpoint stays on trial',
  async (t) => {
    const { answer, did } = await answered(t, { plan: { answer: 'checkpoint' }, onTrial: true })
    t.strictSame(did, ['under suspicion, frozen', 'brake let go, frozen'])
    t.match(answer, { did: 'nothing', why: /just been restored/ })
    const grown = await answered(t, { onTrial: true })
    t.match(grown.answer, { did: 'grow' }, 'more memory it is given all the same')
  },
)

t.test('what does not run, or is being dumped, is left to whom it concerns', async (t) => {
  const { answer, did } = await answered(t, { running: false })
  t.equal(answer, undefined)
  t.strictSame(did, [])
})

/** Until the application was let go. */
const hangsUntil: Setting['hangsUntil'] = ({ frozen }) => !frozen

t.test('with a store that hangs it goes on soon, and is dumped when the store answers', async (t) => {
  const { answer, did, told } = await answered(t, { plan: { answer: 'checkpoint' }, hangsUntil })
  t.strictSame(did.slice(0, 3), ['checkpoint to resume, frozen', 'brake let go, frozen', 'the store answers'])
  t.match(told, [{ did: 'nothing', why: /let go/ }], 'it is told at once')
  t.match(answer, { did: 'checkpoint', why: /100 ms of standing still: it was let go/ })
})

t.test('so it does where its need cannot be read', async (t) => {
  const { answer, did } = await answered(t, { plan: { answer: 'reschedule' }, hangsUntil })
  t.equal(did[0], 'brake let go, frozen')
  t.match(answer, { did: 'reschedule', why: /it was let go/ })
})

t.test('CRIU that holds it ends the standing still: a long dump lets nobody go', async (t) => {
  const { told, answer } = await answered(t, {
    plan: { answer: 'checkpoint' },
    hangsUntil: () => true,
    dumpMs: 300,
  })
  t.strictSame(told, [])
  t.match(answer, { did: 'checkpoint', why: undefined })
})
