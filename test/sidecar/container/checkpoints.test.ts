import { existsSync, mkdirSync, rmSync } from 'node:fs'
import t from 'tap'
import { Deadline } from '../../../src/deadline.ts'
import type { CheckpointRequest } from '../../../sidecar/checkpoint/request.ts'
import {
  ContainerCheckpoints,
  type ContainerCheckpointsParts,
} from '../../../sidecar/container/checkpoints.ts'
import {
  newContainer,
  reduce,
  type Container,
  type ContainerEvent,
} from '../../../sidecar/container/state.ts'
import type { Store } from '../../../src/store/store.ts'
import type { CheckpointHooks } from '../../../sidecar/checkpoint/checkpoint.ts'
import { PodEvents } from '../../../sidecar/setup/pod-events.ts'
import { quietLog } from '../quiet-log.ts'
import { containerPlan } from '../stand-ins.ts'
import { until } from '../../until.ts'

/** As the keeper feeds it, with a checkpoint that is complete when it is told. */
function checkpointsOf(prune: Store['prune'] = async () => ({ removed: [] }), plan = containerPlan) {
  let container: Container = newContainer
  const complete = Promise.withResolvers<void>()
  const dumped = Promise.withResolvers<void>()
  const taken: string[] = []
  let queue = Promise.resolve()
  let isReleased = false
  const states: string[] = []
  const moves: string[] = []
  const events = new PodEvents()
  const dispatch = (event: ContainerEvent) => {
    const step = reduce(container, event)
    container = step.container
    states.push(container.state.at)
    for (const effect of step.effects) {
      if (effect.do === 'refuse') checkpoints.refuse(effect)
      if (effect.do !== 'take') continue
      queue = queue.then(() => checkpoints.take(effect))
    }
    checkpoints.changed()
  }
  const parts = {
    around: { podPlan: { keep: 3 }, store: { prune }, events },
    plan,
    lock: {
      take: async () => ({ outcome: 'taken' }),
      leave: async () => void (isReleased = true),
      confirm: async () => undefined,
    },
    log: quietLog,
    state: () => container.state,
    dispatch,
    launcher: () => 'x',
    moved: () => void moves.push(checkpoints.doing),
    takeOne: async (
      _: unknown,
      __: unknown,
      { afterwards, trigger }: CheckpointRequest,
      hooks: CheckpointHooks,
    ) => {
      taken.push(trigger)
      await hooks.stopped()
      const ended = afterwards === 'end'
      if (!ended) {
        await dumped.promise
        hooks.resuming()
        hooks.storing()
      }
      const { promise, reject } = Promise.withResolvers<void>()
      hooks.breakOff.addEventListener('abort', () => reject(new Error('broken off')))
      await Promise.race([complete.promise, promise])
      return {
        manifest: { id: `of ${trigger}`, totalBytes: 1, trigger, createdAt: '2026-01-02T03:04:05.678Z' },
        ended,
        phases: {},
        cpuMs: 0,
      }
    },
  }
  const checkpoints: ContainerCheckpoints = new ContainerCheckpoints(
    parts as unknown as ContainerCheckpointsParts,
  )
  dispatch({ event: 'running', launcherPid: 2, root: process.pid })
  const finish = () => {
    dumped.resolve()
    complete.resolve()
  }
  return {
    checkpoints,
    events,
    lock: parts.lock as { take: () => Promise<{ outcome: string; holder?: string }> },
    complete: finish,
    dumped: () => dumped.resolve(),
    moves,
    taken,
    dispatch,
    state: () => container.state,
    isReleased: () => isReleased,
  }
}

const request = (trigger: string, afterwards: 'end' | 'resume' = 'end'): CheckpointRequest => ({ trigger, reason: '', afterwards, deadline: Deadline.in(30_000) }) // prettier-ignore

t.test('what is about to be saved is not taken for what was saved before it', async (t) => {
  const { checkpoints, complete } = checkpointsOf()
  t.equal(checkpoints.doing, 'runs')
  const first = checkpoints.ask(request('interval', 'resume'))
  t.equal(checkpoints.doing, 'to-be-saved')
  complete()
  t.match(await first, { outcome: 'taken' })
  t.equal(checkpoints.doing, 'runs')
  void checkpoints.ask(request('interval', 'resume'))
  t.equal(checkpoints.doing, 'to-be-saved', 'once more')
})

t.test('the owner of the pod is told of a checkpoint that was taken, and of one that failed', async (t) => {
  const { checkpoints, complete, events } = checkpointsOf()
  const taking = checkpoints.ask(request('interval', 'resume'))
  complete()
  await taking
  const checkpoint = { container: 'app', id: 'of interval', atMs: Date.parse('2026-01-02T03:04:05.678Z') }
  t.match(events.report, { events: [{ reason: 'CheckpointTaken', code: 'interval' }], checkpoints: [checkpoint] }) // prettier-ignore
  const failing = checkpointsOf(undefined, { ...containerPlan, name: 'other' })
  failing.lock.take = async () => ({ outcome: 'busy', holder: 'pod-two' })
  await failing.checkpoints.ask(request('manual', 'resume'))
  t.match(failing.events.report, {
    events: [
      { reason: 'CheckpointFailed', container: 'other', code: 'lineage-busy', detail: /manual: pod pod-two/ },
    ],
    checkpoints: [],
  })
})

t.test(
  'each step of CRIU is reported after the listeners, with what the application is doing by then',
  async (t) => {
    const { checkpoints, complete, moves } = checkpointsOf()
    checkpoints.whenStopped(async () => void moves.push('a listener'))
    checkpoints.whenResuming(() => void moves.push('another'))
    const asked = checkpoints.ask(request('interval', 'resume'))
    complete()
    await asked
    t.strictSame(moves, ['a listener', 'stopped', 'another', 'being-saved'])
  },
)

t.test('who waited behind another checkpoint that ended the application is told of that one', async (t) => {
  const { checkpoints, complete } = checkpointsOf()
  const first = checkpoints.ask(request('spot'))
  const second = checkpoints.ask(request('prestop'))
  const manual = checkpoints.ask(request('manual', 'resume'))
  complete()
  t.match(await first, { outcome: 'taken', id: 'of spot' })
  t.match(await second, { outcome: 'taken', id: 'of spot' })
  t.match(
    await manual,
    { outcome: 'taken', id: 'of spot' },
    'and what wanted it to go on: nothing has happened since',
  )
  t.match(await checkpoints.ask(request('prestop')), { id: 'of spot' }, 'nor later')
})

t.test('nobody waits for old checkpoints to be removed, but whoever is to take over', async (t) => {
  let removing = 0
  const removed = Promise.withResolvers<void>()
  const prune: Store['prune'] = async () => {
    removing++
    await removed.promise
    return { removed: [] }
  }
  const { checkpoints, complete, isReleased } = checkpointsOf(prune)
  complete()
  t.match(await checkpoints.ask(request('interval', 'resume')), { outcome: 'taken' })
  t.match(await checkpoints.ask(request('memory', 'end')), { outcome: 'taken' })
  await until('both to be at it', () => removing === 2)
  t.equal(isReleased(), false)
  removed.resolve()
  await until('the slot lock to be released', isReleased)
})

t.test('a request that ends the application breaks off a checkpoint that is only being stored', async (t) => {
  const { checkpoints, complete, dumped, taken } = checkpointsOf()
  const periodic = checkpoints.ask(request('interval', 'resume'))
  dumped()
  await until('it to be stored only', () => checkpoints.doing === 'being-saved')
  const last = checkpoints.ask(request('prestop'))
  await until('the last one to begin', () => taken.includes('prestop'))
  complete()
  t.match(await last, { outcome: 'taken', id: 'of prestop', ended: true })
  t.match(
    await periodic,
    { outcome: 'taken', id: 'of prestop' },
    'which serves the one that was broken off, too',
  )
})

t.test('an application that crashes while its checkpoint is being stored is let end at once', async (t) => {
  const { checkpoints, complete, dumped, dispatch, state } = checkpointsOf()
  const periodic = checkpoints.ask(request('interval', 'resume'))
  dumped()
  await until('it to be stored only', () => checkpoints.doing === 'being-saved')
  dispatch({ event: 'gone', code: 7 })
  t.match(state(), { at: 'gone', code: 7 })
  complete()
  t.match(await periodic, { outcome: 'taken' }, 'and the checkpoint is stored all the same')
})

t.test(
  'the storing of what is not wanted any more is stopped, and waited for no longer than told',
  async (t) => {
    const { checkpoints, dumped } = checkpointsOf()
    const periodic = checkpoints.ask(request('interval', 'resume'))
    dumped()
    await until('it to be stored only', () => checkpoints.doing === 'being-saved')
    await checkpoints.stopStoring(5_000)
    t.match(await periodic, { outcome: 'failed' })
  },
)

t.test(
  'a crashed application waits for its checkpoint to be stored, but not for a store that hangs',
  async (t) => {
    const { checkpoints, complete, dumped } = checkpointsOf()
    const first = checkpoints.ask(request('interval', 'resume'))
    dumped()
    await until('it to be stored only', () => checkpoints.doing === 'being-saved')
    const stored = checkpoints.storedWithin(60_000)
    complete()
    await stored
    t.match(await first, { outcome: 'taken' })
    const { checkpoints: hung, dumped: hungDumped } = checkpointsOf()
    const second = hung.ask(request('interval', 'resume'))
    hungDumped()
    await until('it to be stored only', () => hung.doing === 'being-saved')
    await hung.storedWithin(50)
    t.match(await second, { outcome: 'failed' })
  },
)

const asRoot = { skip: process.getuid?.() === 0 ? false : 'only root may make /reprieve' }

t.test('only a container with a probe can be ended because it hangs', asRoot, async (t) => {
  mkdirSync('/reprieve/run', { recursive: true })
  const isNoted = async (more: { probed?: boolean }, asked: CheckpointRequest) => {
    const name = `probed-${process.pid}`
    const note = `/reprieve/run/${name}.ended-with`
    const { checkpoints, complete } = checkpointsOf(undefined, { ...containerPlan, name, ...more })
    complete()
    t.match(await checkpoints.ask(asked), { outcome: 'taken', ended: true })
    const isThere = existsSync(note)
    for (const path of [note, `/reprieve/run/${name}.checkpoint`]) rmSync(path, { force: true })
    return isThere
  }
  const byHook = { ...request('prestop'), byHook: true } as const
  t.equal(await isNoted({ probed: true }, byHook), true)
  t.equal(await isNoted({}, byHook), false, 'a postStart hook failed, or the image was changed')
  t.equal(await isNoted({ probed: true }, request('prestop')), false, 'the sidecar itself had frozen it')
  t.equal(await isNoted({ probed: true }, request('notices')), false)
})
