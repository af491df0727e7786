/** Watches that cannot be begun, of what an earlier life of the sidecar has left behind. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import t from 'tap'
import { Deadline } from '../../../../src/deadline.ts'
import type { Test } from 'tap'
import type { MemoryPlan } from '../../../../src/pod-plan.ts'
import type { ContainerState } from '../../../../sidecar/container/state.ts'
import { MemoryTrigger, type WatchedContainer } from '../../../../sidecar/triggers/memory/trigger.ts'
import { lifeOf } from '../../../../sidecar/proc/process-tree.ts'
import { throttleBytes, limitBytes, mebibyte, plainCgroup } from './plain-cgroup.ts'
import { quietLog } from '../../quiet-log.ts'
import { containerPlan } from '../../stand-ins.ts'
import { until } from '../../../until.ts'

const launcherPid = 42
const running: ContainerState = { at: 'running', launcherPid, root: 43, onTrial: undefined }

/** @param failures how often the cgroup cannot be mounted */
async function trigger(
  t: Test,
  failures: number,
  plan: Partial<MemoryPlan> = {},
  parts: Partial<WatchedContainer> = {},
) {
  const of = plainCgroup(t)
  const run = of.file('run')
  mkdirSync(`${run}/app`, { recursive: true })
  const observers: ((state: ContainerState) => void)[] = []
  const stopped: (() => Promise<void>)[] = []
  const resuming: (() => void)[] = []
  let doing: WatchedContainer['doing'] = 'runs'
  const container: WatchedContainer = {
    plan: { ...containerPlan, memory: { ...containerPlan.memory, ...plan } },
    get doing() {
      return doing
    },
    leaves: async () => undefined,
    podUid: 'this',
    isOnTrial: false,
    fillsAgain: () => undefined,
    relieved: () => undefined,
    checkpoint: async () => ({ outcome: 'failed', reason: 'dump-failed', detail: 'none is taken here' }),
    recordedNeed: async () => undefined,
    recordNeed: async () => undefined,
    leave: () => undefined,
    endsStandingStill: () => Deadline.in(0),
    passOn: () => undefined,
    observe: (changed) => observers.push(changed),
    whenStopped: (listener) => void stopped.push(listener),
    whenResuming: (listener) => void resuming.push(listener),
    ...parts,
  }
  let tries = 0
  let watchBeforeRetry: string | undefined
  const open = async () => {
    if (tries > 0) watchBeforeRetry = memory.status[0]?.watch
    if (++tries <= failures) throw new Error('no mount')
    return of.cgroup
  }
  const memory = new MemoryTrigger([container], undefined, quietLog, { run, open, askAgainMs: 20 })
  t.teardown(() => memory.stop())
  return {
    ...of,
    run,
    memory,
    start: () => memory.start(new Map()),
    becomes: (state: ContainerState) => observers.forEach((changed) => changed(state)),
    tries: () => tries,
    watchBeforeRetry: () => watchBeforeRetry,
    does: (what: typeof doing) => void (doing = what),
    stopped: () => Promise.all(stopped.map((listener) => listener())),
    resuming: () => resuming.forEach((listener) => listener()),
  }
}

t.test('a throttle of an earlier life is taken over, though not at the first try', async (t) => {
  const of = await trigger(t, 1)
  of.set('memory.high', throttleBytes)
  writeFileSync(`${of.run}/app/throttle-${lifeOf(launcherPid)}`, `max ${throttleBytes}`)
  await of.start()
  of.becomes(running)
  await until('it to be watched', () => of.memory.status[0]?.watch === 'armed')
  t.equal(of.tries(), 2)
  t.equal(of.watchBeforeRetry(), 'unwatched')
  await of.memory.stop()
  t.equal(of.read('memory.high'), 'max', 'what was before the earlier life')
})

t.test('a watch that cannot be set up is not taken for one, and is tried again', async (t) => {
  const of = await trigger(t, 0)
  of.set('memory.high', throttleBytes)
  writeFileSync(`${of.run}/app/throttle-${lifeOf(launcherPid)}`, `max ${throttleBytes}`)
  const setThrottle = of.cgroup.setThrottle.bind(of.cgroup)
  of.cgroup.setThrottle = () => Promise.reject(new Error('EIO'))
  await of.start()
  of.becomes(running)
  await until('the first try', () => of.tries() >= 1)
  await until('the throttle to be removed', () => of.read('memory.high') === 'max')
  t.match(of.memory.status, [{ watch: 'unwatched' }])
  of.cgroup.setThrottle = setThrottle
  await until('it to be watched', () => of.memory.status[0]?.watch === 'armed')
  t.equal(of.read('memory.high'), String(throttleBytes))
})

t.test(
  'a watch that ends while the application stands still lets it go, before the record of it is gone',
  async (t) => {
    const of = await trigger(t, 0, {}, { checkpoint: () => new Promise(() => undefined) })
    of.uses(90 * mebibyte)
    await of.start()
    of.becomes(running)
    await until('it to stand still', () => of.read('cgroup.freeze') === '1')
    await of.memory.stop()
    t.equal(of.read('cgroup.freeze'), '0')
    t.equal(of.read('memory.high'), 'max')
  },
)

t.test('what somebody else has frozen is not ours to let go', async (t) => {
  const of = await trigger(t, 0)
  of.set('cgroup.freeze', 1)
  await of.start()
  of.becomes(running)
  await until('it to be watched', () => of.memory.status[0]?.watch === 'armed')
  t.equal(of.read('cgroup.freeze'), '1')
})

/** Who resizes, and does not before it is allowed. */
async function resizer(t: Test) {
  let resize: ((bytes: number) => void) | undefined
  const path = `/tmp/reprieve-resize-${process.pid}-${Math.random()}`
  const asked: number[] = []
  const waiting: ((text?: string) => void)[] = []
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.setEncoding('utf8').once('data', (line: string) => {
      const { limitBytes: bytes } = JSON.parse(line) as { limitBytes: number }
      asked.push(bytes)
      waiting.push((refusal) => {
        if (refusal === undefined) resize?.(bytes)
        socket.end(refusal ?? '{"accepted":true}\n')
      })
      if (answers !== 'when-told') socket.end(answers)
    })
  })
  let answers = 'when-told'
  await new Promise<void>((resolve) => server.listen(path, resolve))
  t.teardown(() => server.close())
  return {
    path,
    asked,
    resizes: (work: (bytes: number) => void) => void (resize = work),
    grant: () => waiting.at(-1)?.(),
    refuse: () => waiting.at(-1)?.('{"refused":"deferred"}\n'),
    answer: (text: string) => void (answers = text),
  }
}

const growing = { answer: 'grow', maxBytes: 4 * limitBytes } as const

t.test(
  'CRIU, for whichever checkpoint, finds neither frost nor throttle, and both are back before it lets go',
  async (t) => {
    const hub = await resizer(t)
    const of = await trigger(t, 0, { ...growing, resizeSocket: hub.path })
    hub.resizes((bytes) => of.set('memory.max', bytes))
    of.uses(90 * mebibyte)
    await of.start()
    of.becomes(running)
    await until('more to be asked for', () => hub.asked.length === 1)
    t.equal(of.read('cgroup.freeze'), '1')
    await of.stopped()
    t.equal(of.read('cgroup.freeze'), '0')
    t.equal(of.read('memory.high'), 'max')
    of.resuming()
    t.equal(of.read('cgroup.freeze'), '1', 'at once')
    await until('the throttle', () => of.read('memory.high') === String(throttleBytes))
    hub.grant()
    await until('it to be answered', () => of.memory.status[0]?.lastAnswer?.did === 'grow')
    await until('it to go on', () => of.read('cgroup.freeze') === '0')
    t.equal(hub.asked.length, 1)
  },
)

t.test('a crossing that comes while CRIU seizes it does not hold CRIU’s instructions', async (t) => {
  const of = await trigger(t, 0)
  await of.start()
  of.becomes(running)
  await until('it to be watched', () => of.memory.status[0]?.watch === 'armed')
  await of.stopped()
  t.equal(of.read('memory.high'), String(throttleBytes), 'far below, the throttle stays')
  of.resuming()
  of.uses(84 * mebibyte)
  await of.stopped()
  t.equal(of.read('memory.high'), 'max')
  of.uses(10 * mebibyte)
  of.resuming()
  await until('the throttle', () => of.read('memory.high') === String(throttleBytes))
})

t.test('what was released for want of memory is given it later, when there is some', async (t) => {
  const hub = await resizer(t)
  hub.answer('{"refused":"deferred"}\n')
  let relieved = 0
  const of = await trigger(t, 0, { ...growing, resizeSocket: hub.path }, { relieved: () => void relieved++ })
  hub.resizes((bytes) => of.set('memory.max', bytes))
  of.uses(90 * mebibyte)
  await of.start()
  of.becomes(running)
  await until('it to run unhindered', () => of.memory.status[0]?.watch === 'let-go')
  await until('it to be asked for again', () => hub.asked.length >= 3)
  t.equal(of.read('cgroup.freeze'), '0', 'without standing still')
  const asked = hub.asked.length
  hub.answer('when-told')
  await until('it to be asked for once more', () => hub.asked.length > asked)
  hub.grant()
  await until('the throttle for the new limit', () => of.memory.status[0]?.watch === 'armed')
  await until('that to be told', () => of.memory.status[0]?.lastAnswer?.did === 'grow')
  t.match(of.memory.status, [{ event: { reason: 'MemoryGrown' } }])
  t.ok(relieved > 0, 'what it came from is under suspicion no more')
})

t.test('between two tries of a checkpoint that is to end it there is frost and throttle again', async (t) => {
  const seen: string[] = []
  let tries = 0
  const of = await trigger(
    t,
    0,
    { answer: 'reschedule', maxBytes: 4 * limitBytes, recordsNeeds: true },
    {
      checkpoint: async (request) => {
        tries++
        of.does('stopped')
        await request.stopped?.()
        await of.stopped()
        seen.push(`${request.afterwards}: ${of.read('cgroup.freeze')} ${of.read('memory.high')}`)
        of.does('runs')
        of.resuming()
        await until(
          'the throttle',
          () => request.afterwards !== 'end' || of.read('memory.high') === String(throttleBytes),
        )
        seen.push(`between: ${of.read('cgroup.freeze')} ${of.read('memory.high')}`)
        return { outcome: 'failed', reason: 'dump-failed', detail: 'by chance' }
      },
    },
  )
  of.uses(90 * mebibyte)
  await of.start()
  of.becomes(running)
  await until('it to be answered', () => of.memory.status[0]?.lastAnswer?.did === 'nothing')
  t.strictSame(seen.slice(0, 2), ['end: 0 max', `between: 1 ${throttleBytes}`])
  await until(
    'it to run unhindered',
    () => of.read('cgroup.freeze') === '0' && of.read('memory.high') === 'max',
  )
  t.ok(tries >= 2)
})

for (const [answer, reason] of [
  ['checkpoint', 'MemoryCheckpointed'],
  ['grow', 'MemoryRefused'],
] as const)
  t.test(`what was released without a checkpoint is saved later, and told as ${reason}`, async (t) => {
    const asked: string[] = []
    let toldBefore: unknown
    const of = await trigger(
      t,
      0,
      { answer },
      {
        checkpoint: async ({ afterwards }) => {
          if (asked.push(afterwards) === 2) toldBefore = of.memory.status[0]?.lastAnswer?.did
          return asked.length > 2 ? { outcome: 'taken', id: 'x', phases: {} } : { outcome: 'failed', reason: 'store-failed', detail: 'full' } // prettier-ignore
        },
      },
    )
    of.uses(90 * mebibyte)
    await of.start()
    of.becomes(running)
    await until('one that is taken', () => of.memory.status[0]?.lastAnswer?.did === 'checkpoint')
    t.match(of.memory.status, [{ event: { reason } }])
    t.equal(toldBefore, 'nothing')
    await new Promise((resolve) => setTimeout(resolve, 200))
    t.equal(asked.length, 3, 'one that is taken is enough')
    t.ok(asked.every((afterwards) => afterwards === 'resume'))
    t.equal(of.read('cgroup.freeze'), '0')
  })

t.test('three times at most', async (t) => {
  let asked = 0
  const checkpoint: WatchedContainer['checkpoint'] = async () => {
    asked++
    return { outcome: 'failed', reason: 'store-failed', detail: 'full' }
  }
  const of = await trigger(t, 0, { answer: 'checkpoint' }, { checkpoint })
  of.uses(90 * mebibyte)
  await of.start()
  of.becomes(running)
  await until('the last', () => asked === 4)
  await new Promise((resolve) => setTimeout(resolve, 200))
  t.equal(asked, 4)
})

t.test('what has just been restored is not saved later either', async (t) => {
  let asked = 0
  const checkpoint: WatchedContainer['checkpoint'] = async () => {
    asked++
    return { outcome: 'taken', id: 'x', phases: {} }
  }
  const of = await trigger(t, 0, { answer: 'checkpoint' }, { checkpoint, isOnTrial: true })
  of.uses(90 * mebibyte)
  await of.start()
  of.becomes(running)
  await until('it to run unhindered', () => of.memory.status[0]?.watch === 'let-go')
  await new Promise((resolve) => setTimeout(resolve, 200))
  t.equal(asked, 0)
})

t.test('what it was given is recorded for its replacement, though not at the first try', async (t) => {
  const hub = await resizer(t)
  const recorded: number[] = []
  let tries = 0
  const recordNeed = async (bytes: number) => {
    if (++tries === 1) throw new Error('the store hangs')
    recorded.push(bytes)
  }
  const of = await trigger(t, 0, { ...growing, recordsNeeds: true, resizeSocket: hub.path }, { recordNeed })
  hub.resizes((bytes) => of.set('memory.max', bytes))
  of.uses(90 * mebibyte)
  await of.start()
  of.becomes(running)
  await until('more to be asked for', () => hub.asked.length === 1)
  hub.grant()
  await until('it to be recorded', () => recorded.length > 0)
  t.strictSame(recorded, hub.asked)
  await new Promise((resolve) => setTimeout(resolve, 100))
  t.equal(tries, 2, 'once is enough')
})

t.test('an answer that comes after the end does nothing to the next container', async (t) => {
  const hub = await resizer(t)
  const did: string[] = []
  const of = await trigger(
    t,
    0,
    { ...growing, resizeSocket: hub.path },
    {
      isOnTrial: true,
      fillsAgain: () => void did.push('suspected'),
      checkpoint: async () => {
        did.push('saved')
        return { outcome: 'taken', id: 'x', phases: {} }
      },
    },
  )
  of.uses(90 * mebibyte)
  await of.start()
  of.becomes(running)
  await until('more to be asked for', () => hub.asked.length === 1)
  of.becomes({ at: 'preparing', launcherPid: 44, life: 'next' })
  await until('the end of the watch', () => of.memory.status[0]?.watch === 'unwatched')
  hub.refuse()
  await until('it to run unhindered', () => of.read('cgroup.freeze') === '0')
  t.strictSame(did, [])
})

/** Its checkpoint is being stored, and it was given more meanwhile. */
async function grownLate(t: Test) {
  const hub = await resizer(t)
  hub.answer('{"refused":"deferred"}\n')
  const stored = Promise.withResolvers<void>()
  const of = await trigger(
    t,
    0,
    { ...growing, resizeSocket: hub.path },
    {
      checkpoint: async (request) => {
        of.does('stopped')
        await request.stopped?.()
        of.does('being-saved')
        await stored.promise
        return { outcome: 'taken', id: 'x', phases: {} }
      },
    },
  )
  hub.resizes((bytes) => of.set('memory.max', bytes))
  of.uses(90 * mebibyte)
  await of.start()
  of.becomes(running)
  await until('it to be asked for again', () => hub.asked.length >= 2)
  const asked = hub.asked.length
  hub.answer('when-told')
  await until('it to be asked for once more', () => hub.asked.length > asked)
  hub.grant()
  await until('the throttle for the new limit', () => of.memory.status[0]?.watch === 'armed')
  return { of, hub, stored }
}

t.test('so it is while its checkpoint is still being stored', async (t) => {
  const { of, stored } = await grownLate(t)
  of.does('runs')
  stored.resolve()
  await until('the checkpoint to be told', () => of.memory.status[0]?.lastAnswer?.did === 'checkpoint')
  t.match(of.memory.status, [{ watch: 'armed' }])
  t.not(of.read('memory.high'), 'max')
})

t.test('what fills that as well meanwhile is given more again, or let go', async (t) => {
  const { of, hub } = await grownLate(t)
  const given = Number(of.read('memory.max'))
  of.uses(given - mebibyte)
  const asked = hub.asked.length
  await until('it to be asked for again', () => hub.asked.length > asked)
  hub.grant()
  await until('the throttle for more', () => Number(of.read('memory.high')) > given)
  hub.answer('{"refused":"deferred"}\n')
  of.uses(Number(of.read('memory.max')) - mebibyte)
  await until('it to run unhindered', () => of.read('memory.high') === 'max')
})

const timers = () => process.getActiveResourcesInfo().filter((what) => what === 'Timeout').length

t.test('a watch that cannot be begun leaves nothing behind that goes on', async (t) => {
  const of = await trigger(t, 0)
  of.cgroup.setThrottle = () => Promise.reject(new Error('EIO'))
  await of.start()
  of.becomes(running)
  await until('the first try', () => of.tries() >= 1)
  const before = timers()
  await until('the third', () => of.tries() >= 3)
  t.ok(timers() <= before + 1, `${timers()} timers, ${before} before`)
})
