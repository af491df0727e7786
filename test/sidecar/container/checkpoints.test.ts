import t from 'tap'
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
import { quietLog } from '../quiet-log.ts'
import { containerPlan, until } from '../stand-ins.ts'

/** As the keeper feeds it, with a checkpoint that is complete when it is told. */
function checkpointsOf(prune: Store['prune'] = async () => ({ removed: [] })) {
  let container: Container = newContainer
  const complete = Promise.withResolvers<void>()
  let queue = Promise.resolve()
  let isReleased = false
  const dispatch = (event: ContainerEvent) => {
    const step = reduce(container, event)
    container = step.container
    for (const effect of step.effects) {
      if (effect.do === 'refuse') checkpoints.refuse(effect)
      if (effect.do !== 'take') continue
      checkpoints.toBeTaken()
      queue = queue.then(() => checkpoints.take(effect))
    }
  }
  const parts = {
    around: { podPlan: { keep: 3 }, store: { prune } },
    plan: containerPlan,
    claim: { take: async () => ({ outcome: 'held' }), release: () => void (isReleased = true) },
    log: quietLog,
    state: () => container.state,
    dispatch,
    launcher: () => 'x',
    takeOne: async (_: unknown, __: unknown, { afterwards, held, goingOn, trigger }: CheckpointRequest) => {
      await held?.()
      await complete.promise
      const ended = afterwards === 'end'
      if (!ended) goingOn?.()
      return { manifest: { id: `of ${trigger}`, totalBytes: 1 }, ended, phases: {}, cpuMs: 0 }
    },
  }
  const checkpoints: ContainerCheckpoints = new ContainerCheckpoints(
    parts as unknown as ContainerCheckpointsParts,
  )
  dispatch({ event: 'running', launcherPid: 2, root: process.pid })
  return { checkpoints, complete: () => complete.resolve(), isReleased: () => isReleased }
}

const request = (trigger: string, afterwards: 'end' | 'resume' = 'end'): CheckpointRequest => ({ trigger, reason: '', afterwards, deadline: Date.now() + 30_000 }) // prettier-ignore

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

t.test('who waited behind another checkpoint that ended the application is told of that one', async (t) => {
  const { checkpoints, complete } = checkpointsOf()
  const first = checkpoints.ask(request('spot'))
  const second = checkpoints.ask(request('prestop'))
  const manual = checkpoints.ask(request('manual', 'resume'))
  complete()
  t.match(await first, { outcome: 'taken', id: 'of spot' })
  t.match(await second, { outcome: 'taken', id: 'of spot' })
  t.match(await manual, { outcome: 'failed' }, 'but not who wanted it to go on')
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
  await until('the claim to be released', isReleased)
})
