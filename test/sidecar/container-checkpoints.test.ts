import t from 'tap'
import type { CheckpointRequest } from '../../sidecar/checkpoint.ts'
import { ContainerCheckpoints, type ContainerCheckpointsParts } from '../../sidecar/container-checkpoints.ts'
import { newContainer, reduce, type Container, type ContainerEvent, type Effect } from '../../sidecar/container-state.ts' // prettier-ignore
import { quietLog } from './quiet-log.ts'

/** As the keeper feeds it, but for the taking itself. */
function checkpointsOf() {
  let container: Container = newContainer
  const effects: Effect[] = []
  const dispatch = (event: ContainerEvent) => {
    const step = reduce(container, event)
    container = step.container
    for (const effect of step.effects) {
      effects.push(effect)
      if (effect.do === 'refuse') checkpoints.refuse(effect)
      if (effect.do === 'take') checkpoints.toBeTaken()
    }
  }
  const parts = { log: quietLog, state: () => container.state, dispatch, launcher: () => '' }
  // Nothing is taken here.
  const checkpoints = new ContainerCheckpoints(parts as unknown as ContainerCheckpointsParts)
  dispatch({ event: 'running', launcherPid: 2, root: 3 })
  return { checkpoints, dispatch, effects }
}

const request = (trigger: string, afterwards: 'end' | 'resume' = 'end'): CheckpointRequest => ({ trigger, reason: '', afterwards, deadline: Date.now() + 30_000 }) // prettier-ignore

t.test('what is about to be saved is not taken for what was saved before it', async (t) => {
  const { checkpoints } = checkpointsOf()
  t.equal(checkpoints.doing, 'runs')
  void checkpoints.ask(request('interval', 'resume'))
  t.equal(checkpoints.doing, 'to-be-saved')
})

t.test('who waited behind another ending checkpoint is told of that one', async (t) => {
  const { checkpoints, dispatch } = checkpointsOf()
  void checkpoints.ask(request('spot'))
  const second = checkpoints.ask(request('prestop'))
  const manual = checkpoints.ask(request('manual', 'resume'))
  dispatch({ event: 'taken', root: 3, ended: true, checkpoint: 'x' })
  t.match(await manual, { outcome: 'failed' }, 'but not who wanted it to go on')
  t.match(await second, { outcome: 'failed', reason: 'not-running' }, 'of none that nobody remembers')
})
