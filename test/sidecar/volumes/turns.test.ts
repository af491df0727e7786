import t from 'tap'
import { Turns } from '../../../sidecar/volumes/turns.ts'

const [data, sub, other] = [
  { device: '8:1', root: '/volumes/data' },
  { device: '8:1', root: '/volumes/data/sub' },
  { device: '8:1', root: '/volumes/other' },
]
const { signal } = new AbortController()
const never = new Promise<never>(() => undefined)

t.test('containers with a common volume follow each other, in the order in which they came', async (t) => {
  const turns = new Turns()
  const first = Promise.withResolvers<void>()
  const done: string[] = []
  const say = (name: string) => async () => void done.push(name)
  const all = [
    turns.run({ volumes: [data] }, () => first.promise.then(say('first')), signal),
    turns.run({ volumes: [sub] }, say('second'), signal),
    turns.run({ volumes: [other, data] }, say('third'), signal),
  ]
  await turns.run({ volumes: [{ device: '8:2', root: '/volumes/data' }] }, say('elsewhere'), signal)
  t.same(done, ['elsewhere'])
  first.resolve()
  await Promise.all(all)
  t.same(done, ['elsewhere', 'first', 'second', 'third'])
})

t.test('one that fails, or whose launcher goes, keeps nobody waiting', async (t) => {
  const turns = new Turns()
  const failing = turns.run({ volumes: [data] }, () => Promise.reject(new Error('it failed')), signal)
  const first = Promise.withResolvers<void>()
  const holding = turns.run({ volumes: [data] }, () => first.promise, signal)
  const gone = new AbortController()
  const leaving = turns.run({ volumes: [data] }, async () => t.fail('it is gone'), gone.signal) // prettier-ignore
  const last = turns.run({ volumes: [data] }, async () => 'last', signal)
  await t.rejects(failing, /it failed/)
  gone.abort(new Error('gone'))
  await t.rejects(leaving, /gone/)
  first.resolve()
  await holding
  t.equal(await last, 'last')
  await t.rejects(
    turns.run({ volumes: [data] }, async () => 1, AbortSignal.abort(new Error('late'))),
    /late/,
  )
})

t.test(
  'one that hangs holds up the others for a bounded time, and those that come later not at all',
  async (t) => {
    const turns = new Turns(50)
    // The timer of a turn keeps no process.
    const keeping = setInterval(() => undefined, 1_000)
    t.teardown(() => clearInterval(keeping))
    void turns.run({ volumes: [data] }, () => never, signal)
    const second = turns.run({ volumes: [data] }, async () => 'second', signal)
    const third = turns.run({ volumes: [data] }, async () => 'third', signal)
    t.same(await Promise.all([second, third]), ['second', 'third'])
    t.equal(await turns.run({ volumes: [data] }, async () => 'later', signal), 'later')
  },
)
