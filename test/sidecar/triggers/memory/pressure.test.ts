/** What is done about a full memory, with a folder of plain files for a cgroup: freezing and thawing are writes like any other. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { Deadline } from '../../../../src/deadline.ts'
import type { Test } from 'tap'
import type { MemoryPlan } from '../../../../src/pod-plan.ts'
import type { CheckpointOutcome, CheckpointRequest } from '../../../../sidecar/checkpoint/request.ts'
import { MemoryCgroup } from '../../../../sidecar/triggers/memory/memory-cgroup.ts'
import { answerCrossing } from '../../../../sidecar/triggers/memory/pressure.ts'
import {
  rescheduleCode,
  type Answered,
  type PressedContainer,
} from '../../../../sidecar/triggers/memory/remedies.ts'
import type { Growth } from '../../../../sidecar/triggers/memory/resource-grower.ts'
import type { Standstill } from '../../../../sidecar/triggers/memory/standstill.ts'
import { quietLog } from '../../quiet-log.ts'
import { program } from '../../stand-ins.ts'
import { until } from '../../../until.ts'

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

/** Beyond any process's number. */
const nobody = 4194305

type Setting = {
  plan?: Partial<MemoryPlan>
  growth?: Growth
  outcome?: CheckpointOutcome
  /** Of one after the other, where they differ. */
  outcomes?: CheckpointOutcome[]
  /** While CRIU holds it. */
  dumped?: (raise: Raise) => Promise<void>
  need?: { memoryBytes: number; podUid: string }
  records?: (bytes: number, raise: Raise) => Promise<void>
  doing?: (isFrozen: boolean) => PressedContainer['doing']
  /** How often it was to be ended in vain already. */
  failed?: number
  /** The limit when it stands still, where it is not that of the crossing. */
  limitNow?: number
  /** How long it may stand still. */
  boundMs?: number
  /** While the resize is on its way. */
  meanwhile?: (standstill: Standstill, note: (what: string) => void) => Promise<void>
  onTrial?: boolean
  dumpMs?: number
  /** A launcher that may be told to end. */
  launcherPid?: number
  /** What happens while more memory is asked for. */
  growing?: () => Promise<void>
  /** Until when the store keeps everybody waiting; the time that the application may stand still is short then. */
  hangsUntil?: (state: { frozen: boolean; told: Answered[] }) => boolean
}

/** Somebody else gives it more. */
type Raise = (bytes: number) => void

/** Everything that was done, in its order. */
async function answered(t: Test, setting: Setting) {
  const folder = mkdtempSync(join(tmpdir(), 'reprieve-pressure-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = (name: string) => join(folder, name)
  writeFileSync(file('memory.max'), String(setting.limitNow ?? limitBytes))
  writeFileSync(file('memory.current'), String(900 * mebibyte))
  writeFileSync(file('memory.stat'), `active_file ${10 * mebibyte}\n`)
  writeFileSync(file('cgroup.events'), 'populated 1\nfrozen 1\n')
  writeFileSync(file('cgroup.freeze'), '0')
  const raise = (bytes: number) => writeFileSync(file('memory.max'), String(bytes))
  const isFrozen = () => readFileSync(file('cgroup.freeze'), 'utf8') === '1'
  const did: string[] = []
  const note = (what: string) => did.push(isFrozen() ? `${what}, frozen` : what)
  const requests: CheckpointRequest[] = []
  const told: Answered[] = []
  let standing: Standstill | undefined
  const store = async () => {
    const { hangsUntil } = setting
    if (hangsUntil !== undefined) await until('the store', () => hangsUntil({ frozen: isFrozen(), told }))
  }
  const answer = await answerCrossing(
    {
      plan: { ...plan, ...setting.plan },
      container: {
        get doing() {
          return setting.doing?.(isFrozen()) ?? 'runs'
        },
        async leaves(doing, signal) {
          while (this.doing === doing && !signal.aborted) await delay(1)
        },
        podUid: 'this',
        isOnTrial: setting.onTrial ?? false,
        fillsAgain: () => note('under suspicion'),
        checkpoint: async (request) => {
          note(`checkpoint to ${request.afterwards}`)
          requests.push(request)
          await store()
          if (setting.hangsUntil !== undefined) note('the store answers')
          await request.stopped?.()
          // As the watch does.
          standing?.interrupt()
          note('held by CRIU')
          await delay(setting.dumpMs ?? 0)
          await setting.dumped?.(raise)
          const outcome = setting.outcomes?.shift() ?? setting.outcome ?? taken
          if (outcome === failed || request.afterwards === 'resume') standing?.again()
          if (outcome === failed) note('CRIU lets go')
          return outcome
        },
        recordedNeed: async () => {
          await store()
          return setting.need
        },
        recordNeed: async (bytes) => {
          if (setting.records === undefined) note(`recorded ${bytes / mebibyte}`)
          else await setting.records(bytes, raise)
        },
        leave: (code) => note(`left with ${code}`),
      },
      cgroup: new MemoryCgroup(2, folder),
      grower: {
        grow: async (name, bytes) => {
          note(`asked ${bytes / mebibyte} for ${name}`)
          await setting.growing?.()
          if (standing !== undefined) await setting.meanwhile?.(standing, note)
          // As the kernel keeps it: in whole pages.
          if (setting.growth?.outcome !== 'refused')
            writeFileSync(file('memory.max'), String(Math.floor(bytes / 4096) * 4096))
          return setting.growth ?? { outcome: 'accepted' }
        },
      },
      throttle: {
        arm: async () => void note('throttle set'),
        disarm: async () => void note('throttle removed'),
      },
      name: 'train',
      launcherPid: setting.launcherPid ?? nobody,
      ending: {
        endsStandingStill: () => {
          note('its end is kept from it')
          return Deadline.in(5_000)
        },
        passOn: () => note('it hears of its end'),
      },
      log: quietLog,
      reschedules: { failed: setting.failed ?? 0 },
      report: (answered) => told.push(answered),
      stands: (standstill) => void (standing = standstill),
      ...(setting.hangsUntil === undefined && setting.boundMs === undefined
        ? {}
        : { standstillMs: setting.boundMs ?? 100 }),
    },
    crossing,
  )
  t.equal(isFrozen(), false, 'it is released in the end')
  return { answer, did, requests, told }
}

t.test(
  'it stands still while it is given more, and goes on under the throttle for the new limit',
  async (t) => {
    const { answer, did } = await answered(t, {})
    t.strictSame(did, ['asked 1536 for train, frozen', 'throttle set, frozen'])
    t.match(answer, { did: 'grow', toBytes: 1536 * mebibyte, usedBytes: 890 * mebibyte, limitBytes })
  },
)

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
      'throttle removed, frozen',
      'held by CRIU',
      'throttle removed',
    ])
    t.match(answer, { did: 'checkpoint', why: /could not be recorded: the store is full/ })
  },
)

t.test('a pod that was not given what it needs is not ended again for it', async (t) => {
  const need = { memoryBytes: 1536 * mebibyte, podUid: 'earlier' }
  const { answer, did } = await answered(t, { plan: { answer: 'reschedule' }, need })
  t.equal(did[0], 'checkpoint to resume, frozen')
  t.match(answer, { did: 'checkpoint', why: /1610612736 bytes were recorded as needed by an earlier pod/ })
  const more = await answered(t, {
    plan: { answer: 'reschedule' },
    need: { memoryBytes: 512 * mebibyte, podUid: 'earlier' },
  })
  t.match(more.answer, { did: 'reschedule' }, 'one that was given it, and needs still more, is')
})

t.test('without a checkpoint the application runs on unhindered, and it is told', async (t) => {
  const { answer, did } = await answered(t, { plan: { answer: 'checkpoint' }, outcome: failed })
  t.equal(did.at(-1), 'throttle removed')
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
  t.match(answer, { did: 'checkpoint', why: /all that it may grow to/, exhausted: true })
})

t.test(
  'what has just been restored into the same memory is not saved anew: its checkpoint stays on trial',
  async (t) => {
    const { answer, did } = await answered(t, { plan: { answer: 'checkpoint' }, onTrial: true })
    t.strictSame(did, ['under suspicion, frozen', 'throttle removed, frozen'])
    t.match(answer, { did: 'nothing', why: /just been restored/ })
    const grown = await answered(t, { onTrial: true })
    t.match(grown.answer, { did: 'grow' }, 'more memory it is given all the same')
  },
)

t.test(
  'what this pod has recorded itself, in vain, is no reason not to try again, but not for ever',
  async (t) => {
    const need = { memoryBytes: 1536 * mebibyte, podUid: 'this' }
    const again = await answered(t, { plan: { answer: 'reschedule' }, need })
    t.match(again.answer, { did: 'reschedule' })
    const thrice = await answered(t, { plan: { answer: 'reschedule' }, need, failed: 3 })
    t.match(thrice.answer, { did: 'checkpoint', why: /^3 times it was to end with a checkpoint/ })
  },
)

t.test('what does not run, or is held by CRIU, is left to whom it concerns', async (t) => {
  for (const doing of ['stopped', 'gone'] as const) {
    const { answer, did } = await answered(t, { doing: () => doing })
    t.equal(answer, undefined)
    t.strictSame(did, [])
  }
})

t.test('while a checkpoint of it is being stored it is given more all the same', async (t) => {
  const { answer, did } = await answered(t, { doing: () => 'being-saved' })
  t.strictSame(did, ['asked 1536 for train, frozen', 'throttle set, frozen'])
  t.match(answer, { did: 'grow' })
})

t.test('or it is released, since a second checkpoint beside that one helps nobody', async (t) => {
  const { answer, did } = await answered(t, {
    doing: () => 'being-saved',
    growth: { outcome: 'refused', why: 'deferred' },
    plan: { recordsNeeds: false },
  })
  t.strictSame(did, ['asked 1536 for train, frozen', 'throttle removed, frozen'])
  t.match(answer, { did: 'nothing', why: /deferred; .*a checkpoint of it is under way/ })
})

t.test('what is about to be saved stands still until CRIU has it', async (t) => {
  let looks = 0
  const { answer, did } = await answered(t, {
    doing: () => (++looks < 10 ? 'to-be-saved' : 'stopped'),
    plan: { answer: 'checkpoint' },
  })
  t.ok(looks >= 10, `${looks}`)
  t.strictSame(did, ['throttle removed, frozen'])
  t.match(answer, { did: 'nothing', why: 'a checkpoint of it is under way' })
})

t.test('or it is saved for itself, where that one fails', async (t) => {
  let looks = 0
  const { answer } = await answered(t, {
    doing: () => (++looks < 10 ? 'to-be-saved' : 'runs'),
    plan: { answer: 'checkpoint' },
  })
  t.match(answer, { did: 'checkpoint', why: undefined })
})

t.test('what is to be ended is not frozen, and not held by the throttle for ever either', async (t) => {
  const { answer, did } = await answered(t, { doing: () => 'being-ended', boundMs: 50 })
  t.equal(answer, undefined)
  t.strictSame(did, ['throttle removed'])
})

t.test('what was to be ended, and goes on, is answered', async (t) => {
  let looks = 0
  const { answer } = await answered(t, { doing: () => (++looks < 3 ? 'being-ended' : 'runs') })
  t.match(answer, { did: 'grow' })
})

t.test('it counts what the limit is when it stands still: somebody else may have raised it', async (t) => {
  const raised = await answered(t, { limitNow: 4 * limitBytes })
  t.equal(raised.answer, undefined)
  t.strictSame(raised.did, ['throttle set'], 'nothing is asked for, and it stands still for nothing')
  const less = await answered(t, { limitNow: limitBytes - 16 * mebibyte })
  t.match(less.answer, { did: 'grow', limitBytes: limitBytes - 16 * mebibyte })
})

t.test('CRIU, for somebody else’s checkpoint, finds it thawed, and leaves it frozen', async (t) => {
  const { answer, did } = await answered(t, {
    meanwhile: async (standstill, note) => {
      standstill.interrupt()
      note('held by CRIU')
      standstill.again()
      note('CRIU lets go')
    },
  })
  t.strictSame(did, [
    'asked 1536 for train, frozen',
    'held by CRIU',
    'CRIU lets go, frozen',
    'throttle set, frozen',
  ])
  t.match(answer, { did: 'grow' })
})

/** Until the application was released. */
const hangsUntil: Setting['hangsUntil'] = ({ frozen }) => !frozen

t.test('with a store that hangs it goes on soon, and is dumped when the store answers', async (t) => {
  const { answer, did, told } = await answered(t, { plan: { answer: 'checkpoint' }, hangsUntil })
  t.strictSame(did.slice(0, 3), [
    'checkpoint to resume, frozen',
    'throttle removed, frozen',
    'the store answers',
  ])
  t.match(told, [{ did: 'nothing', why: /thawed/ }], 'it is reported at once')
  t.match(answer, { did: 'checkpoint', why: /100 ms of standing still: it was thawed/ })
})

t.test('so it does where its need cannot be read', async (t) => {
  const { answer, did } = await answered(t, { plan: { answer: 'reschedule' }, hangsUntil })
  t.equal(did[0], 'throttle removed, frozen')
  t.match(answer, { did: 'reschedule', why: /it was thawed/ })
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

/** Stands for a launcher: what tells it to end stays pending. */
async function deaf(t: Test): Promise<number> {
  const { pid } = await program(t, ['env', '--block-signal=TERM', 'sleep', '60'], (pid) =>
    readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('sleep'),
  )
  return pid
}

t.test(
  'told to end while it stands still, it is ended with a checkpoint before it hears of it',
  async (t) => {
    const launcherPid = await deaf(t)
    const growing = async () => {
      process.kill(launcherPid, 'SIGTERM')
      await new Promise(() => undefined)
    }
    const { answer, did, requests } = await answered(t, { launcherPid, growing })
    t.strictSame(did, [
      'asked 1536 for train, frozen',
      'its end is kept from it, frozen',
      'checkpoint to end, frozen',
      'held by CRIU',
      'left with 143',
      'it hears of its end',
    ])
    t.match(requests, [{ trigger: 'prestop', afterwards: 'end', byHook: undefined }])
    t.match(answer, { did: 'end', why: /told to end/ })
  },
)

t.test('and hears of it where it could not be saved, without the throttle', async (t) => {
  const launcherPid = await deaf(t)
  process.kill(launcherPid, 'SIGTERM')
  const { answer, did } = await answered(t, { launcherPid, outcome: failed })
  t.strictSame(did.slice(-4), ['held by CRIU', 'CRIU lets go, frozen', 'throttle removed, frozen', 'it hears of its end']) // prettier-ignore
  t.notOk(
    did.some((what) => what.startsWith('asked')),
    'it is not given more',
  )
  t.match(answer, { did: 'nothing', why: /told to end.*io_uring/ })
})

/** It is told to end as soon as it is asked what it does while it is frozen. */
function toldLate(launcherPid: number, is: PressedContainer['doing']): Setting['doing'] {
  let isTold = false
  return (isFrozen) => {
    if (isFrozen && !isTold) process.kill(launcherPid, 'SIGTERM')
    isTold ||= isFrozen
    return is
  }
}

t.test('its end is kept from it before it is thawed for somebody else’s checkpoint', async (t) => {
  const launcherPid = await deaf(t)
  const { did } = await answered(t, {
    launcherPid,
    meanwhile: async (standstill, note) => {
      process.kill(launcherPid, 'SIGTERM')
      standstill.interrupt()
      note('held by CRIU')
      standstill.again()
    },
  })
  const [kept, held] = ['its end is kept from it, frozen', 'held by CRIU'].map((what) => did.indexOf(what))
  t.ok(kept !== undefined && held !== undefined && kept >= 0 && kept < held, did.join('; '))
  t.ok(did.includes('checkpoint to end, frozen'), 'and it is ended with a checkpoint of its own')
})

t.test('and before it is released because it stood still for too long', async (t) => {
  const launcherPid = await deaf(t)
  const { did } = await answered(t, {
    launcherPid,
    plan: { answer: 'checkpoint' },
    boundMs: 2_000,
    doing: toldLate(launcherPid, 'to-be-saved'),
  })
  const [kept, disarm] = ['its end is kept from it, frozen', 'throttle removed, frozen'].map((what) =>
    did.indexOf(what),
  )
  t.ok(kept !== undefined && disarm !== undefined && kept >= 0 && kept < disarm, did.join('; '))
})

t.test('and where there is room again', async (t) => {
  const launcherPid = await deaf(t)
  process.kill(launcherPid, 'SIGTERM')
  const { answer, did } = await answered(t, { launcherPid, limitNow: 4 * limitBytes })
  t.ok(did.includes('its end is kept from it, frozen'), did.join('; '))
  t.match(answer, { did: 'end', why: /told to end/ })
})

t.test('what could not be saved at its end has the checkpoint from a moment ago all the same', async (t) => {
  const launcherPid = await deaf(t)
  const { answer } = await answered(t, {
    launcherPid,
    plan: { answer: 'checkpoint' },
    outcomes: [taken, failed],
    dumped: async () => void process.kill(launcherPid, 'SIGTERM'),
  })
  t.match(answer, { did: 'checkpoint', why: /told to end.*io_uring/ })
})

t.test('what is to be dumped once more before it ends stands still until then', async (t) => {
  const { did } = await answered(t, { plan: { answer: 'reschedule' }, outcome: failed })
  t.strictSame(did.slice(0, 4), ['recorded 1536, frozen', 'checkpoint to end, frozen', 'held by CRIU', 'CRIU lets go, frozen']) // prettier-ignore
})

t.test('it is not ended for more that it has been given meanwhile', async (t) => {
  const { answer, did } = await answered(t, {
    plan: { answer: 'reschedule' },
    records: async (_, raise) => raise(2 * limitBytes),
  })
  t.strictSame(did, ['throttle set, frozen'])
  t.match(answer, { did: 'grow', toBytes: 2 * limitBytes })
})

t.test('given more while it was being saved it is not told to be at its end', async (t) => {
  const { answer, did } = await answered(t, {
    growth: { outcome: 'refused', why: 'deferred' },
    plan: { recordsNeeds: false },
    dumped: async (raise) => raise(2 * limitBytes),
  })
  t.equal(did.at(-1), 'throttle set')
  t.match(answer, { did: 'checkpoint', why: undefined, exhausted: undefined })
})

t.test('who is to be ended and waits too long for it is told of', async (t) => {
  const { told } = await answered(t, { doing: () => 'being-ended', boundMs: 50 })
  t.match(told, [{ did: 'nothing', why: /has not begun after 50 ms/ }])
})
