import t from 'tap'
import { Deadline } from '../../../../src/deadline.ts'
import { fakeSidecar } from '../../../launcher/fake-sidecar.ts'
import { kill, launch } from '../../../launcher/launcher.ts'
import { pendingEndSignal, PendingEnd } from '../../../../sidecar/triggers/memory/pending-end.ts'
import { until } from '../../../until.ts'

t.test('what tells a launcher to end that stands still is seen before it takes it', async (t) => {
  const sidecar = await fakeSidecar(t)
  const launcher = launch(t, ['run', '--container=app', '--', 'sleep', '60'], { env: sidecar.env })
  const talk = await sidecar.next()
  await talk.next()
  talk.say('start')
  const root = Number(/root=(\d+)/.exec(await talk.next())?.[1])
  t.teardown(() => kill(root))
  process.kill(launcher.pid, 'SIGSTOP')
  process.kill(launcher.pid, 'SIGURG')
  const said: string[] = []
  const by = Deadline.in(123)
  const end = new PendingEnd(launcher.pid, {
    endsStandingStill: () => {
      said.push('ends')
      talk.say('withhold ms=60000')
      return by
    },
    passOn: () => void said.push('passed on'),
  })
  t.equal(end.look(), undefined)
  end.passOn()
  process.kill(launcher.pid, 'SIGTERM')
  await until('it to be pending', () => pendingEndSignal(launcher.pid) === 15)
  t.equal(end.look(), by)
  t.equal(end.code, 143)
  t.strictSame(said, ['ends'], 'once')
  process.kill(launcher.pid, 'SIGCONT')
  await until('it to be taken', () => pendingEndSignal(launcher.pid) === undefined)
  end.passOn()
  t.strictSame(said, ['ends', 'passed on'])
  talk.say('withhold ms=0')
  t.match(await talk.next(), /^gone code=143 told=15$/, 'and is passed on when it may be')
})

t.test('a process that is gone is not told anything', async (t) => {
  t.equal(pendingEndSignal(4194305), undefined)
})
