import t from 'tap'
import type { CheckpointOutcome, CheckpointRequest } from '../../../../sidecar/checkpoint/request.ts'
import { PrestopTrigger } from '../../../../sidecar/triggers/prestop/trigger.ts'
import { quietLog } from '../../quiet-log.ts'
import { Heard } from '../../stand-ins.ts'
import { fakeClock } from '../../../fake-clock.ts'

async function asked(checkpoint: (request: CheckpointRequest) => Promise<CheckpointOutcome>, name = 'app') {
  const events: string[] = []
  const requests: CheckpointRequest[] = []
  const container = {
    plan: { name: 'app' },
    runs: async () => undefined,
    ending: () => void events.push('ending'),
    checkpoint: (request: CheckpointRequest) => {
      events.push('checkpoint')
      requests.push(request)
      return checkpoint(request)
    },
  }
  const trigger = new PrestopTrigger(quietLog)
  await trigger.start(new Map([['app', container]]))
  const connection = new Heard()
  await trigger.asked(connection, name, 20_000)
  return { connection, events, requests }
}
const taken: CheckpointOutcome = { outcome: 'taken', id: 'one', phases: {} }

t.test('ends the application with a checkpoint, within the budget', async (t) => {
  fakeClock(t)
  const { connection, events, requests } = await asked(async () => taken)
  t.strictSame(connection.messages, [
    { verb: 'wait', ms: 5_000 },
    { verb: 'taken', id: 'one' },
  ])
  t.strictSame(events, ['ending', 'checkpoint'], 'an exit from here on is no sign of finished work')
  t.match(requests, [{ trigger: 'prestop', afterwards: 'end', byHook: true }])
  t.equal(requests[0]?.deadline.leftMs, 20_000)
})

t.test('keeps the hook waiting while it works, and no longer', async (t) => {
  const clock = fakeClock(t)
  const asking = asked(async () => {
    await new Promise((resolve) => setTimeout(resolve, 2_300))
    return taken
  })
  await clock.pass(2_300)
  const { connection } = await asking
  t.strictSame(connection.verbs, ['wait', 'wait', 'wait', 'taken'])
  await clock.pass(10_000)
  t.equal(connection.verbs.length, 4)
})

t.test('says why there is none, so that the own hook runs', async (t) => {
  const failed = await asked(async () => ({ outcome: 'failed', reason: 'dump-failed', detail: 'a b' }))
  t.strictSame(failed.connection.messages.at(-1), { verb: 'failed', reason: 'dump-failed' })
  const thrown = await asked(() => Promise.reject(new Error('unforeseen')))
  t.strictSame(thrown.connection.messages.at(-1), { verb: 'failed', reason: 'internal' })
  const unknown = await asked(async () => taken, 'other')
  t.strictSame(unknown.connection.messages, [{ verb: 'failed', reason: 'container-unknown' }])
  t.strictSame(unknown.events, [])
})

t.test('knows no container once it was stopped', async (t) => {
  const trigger = new PrestopTrigger(quietLog)
  await trigger.stop()
  const connection = new Heard()
  await trigger.asked(connection, 'app', 1)
  t.strictSame(connection.verbs, ['failed'])
})
