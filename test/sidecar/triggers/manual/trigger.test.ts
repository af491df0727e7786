import { stat } from 'node:fs/promises'
import t, { type Test } from 'tap'
import type { CheckpointOutcome, CheckpointRequest } from '../../../../sidecar/checkpoint/request.ts'
import { ManualTrigger, parseRequest } from '../../../../sidecar/triggers/manual/trigger.ts'
import { quietLog } from '../../quiet-log.ts'
import { peer, shortFolder } from '../../stand-ins.ts'
import { fakeClock } from '../../../fake-clock.ts'
import { until } from '../../../until.ts'

t.test('an empty request means every container, to go on afterwards', async (t) => {
  fakeClock(t)
  const { names, request } = parseRequest('{}', ['a', 'b'])
  t.strictSame(names, ['a', 'b'])
  t.match(request, { trigger: 'manual', reason: 'asked by hand', afterwards: 'resume' })
  t.equal(request.deadline.leftMs, 600_000)
})

t.test('a request can say all of it', async (t) => {
  fakeClock(t)
  const line = '{"container":"b","reason":"before an upgrade","afterwards":"end","deadlineMs":5000}'
  const { names, request } = parseRequest(line, ['a', 'b'])
  t.strictSame(names, ['b'])
  t.match(request, { reason: 'before an upgrade', afterwards: 'end' })
  t.equal(request.deadline.leftMs, 5_000)
})

t.test('all that is wrong is said at once', async (t) => {
  const line = '{"container":"c","reason":7,"afterwards":"die","deadlineMs":0,"extra":1}'
  t.throws(() => parseRequest(line, ['a']), {
    message:
      'container must be one of a; reason must be a text of at most 200 characters; ' +
      'afterwards must be "resume" or "end"; deadlineMs must be 1 to 3600000; extra is not known',
  })
  for (const bad of ['', 'null', '[]', '"a"', '7', '{', '{"deadlineMs":3600001}', '{"container":null}'])
    t.throws(() => parseRequest(bad, ['a']), bad)
})

async function start(t: Test) {
  const path = `${shortFolder(t)}/control.sock`
  const asked: CheckpointRequest[] = []
  const container = (outcome: CheckpointOutcome) => ({
    plan: { name: 'x' },
    runs: async () => undefined,
    ending: () => undefined,
    checkpoint: async (request: CheckpointRequest) => {
      asked.push(request)
      return outcome
    },
  })
  const trigger = new ManualTrigger(path, quietLog)
  await trigger.start(
    new Map([
      ['a', container({ outcome: 'taken', id: 'one', phases: {} })],
      ['b', container({ outcome: 'failed', reason: 'not-running', detail: 'd' })],
    ]),
  )
  t.teardown(() => trigger.stop())
  return { path, asked }
}

t.test('only its own user can connect', async (t) => {
  const { path } = await start(t)
  t.equal((await stat(path)).mode & 0o777, 0o600)
})

t.test('answers each container, in one line', async (t) => {
  const { path, asked } = await start(t)
  const { socket, said, ended } = await peer(t, path)
  socket.write('{"reas')
  await new Promise((resolve) => setTimeout(resolve, 20))
  socket.write('on":"ä"}\n{"container":"a"}\n')
  await ended
  t.strictSame(JSON.parse(said()), {
    a: { outcome: 'taken', id: 'one', phases: {} },
    b: { outcome: 'failed', reason: 'not-running', detail: 'd' },
  })
  t.strictSame(
    asked.map(({ reason }) => reason),
    ['ä', 'ä'],
    'a second line is not taken up',
  )
  t.not(asked[0], asked[1], 'each has a request of its own')
})

t.test('says what is wrong with a request', async (t) => {
  const { path, asked } = await start(t)
  const { socket, said, ended } = await peer(t, path)
  socket.write('nonsense\n')
  await ended
  t.match(JSON.parse(said()), { error: /JSON/ })
  t.strictSame(asked, [])
})

t.test('refuses a request without end, once', async (t) => {
  const { path } = await start(t)
  const { socket, said, ended } = await peer(t, path)
  for (let count = 0; count < 5; count++) socket.write('x'.repeat(4_000))
  await Promise.race([ended, until('the answer', () => said().includes('\n'))])
  t.strictSame(JSON.parse(said()), { error: 'a request is at most 4096 bytes' })
})
