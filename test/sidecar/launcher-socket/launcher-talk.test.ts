import { mock } from 'node:test'
import t from 'tap'
import { LauncherTalk } from '../../../sidecar/launcher-socket/launcher-talk.ts'
import { Heard } from '../stand-ins.ts'
import { fakeClock } from '../../fake-clock.ts'

const tree = { root: 3, supervisor: 4, status: '/exit' }

t.test('only the launcher that was told to start is told so again', async (t) => {
  const talk = new LauncherTalk()
  const connection = new Heard()
  talk.speaksOn(connection)
  talk.start('7@1')
  talk.reassure('7@1', () => false)
  t.strictSame(connection.verbs, ['start', 'start'])
  talk.reassure('7@2', () => false)
  t.strictSame(connection.verbs, ['start', 'start', 'wait'], 'not the next one that has its number')
})

t.test('what one launcher was asked to adopt is refused at once when another one speaks', async (t) => {
  const talk = new LauncherTalk()
  talk.speaksOn(new Heard())
  fakeClock(t)
  const adopted = talk.adopt(tree)
  talk.speaksOn(new Heard())
  t.equal(await adopted, false, 'though its deadline never comes')
})

t.test('a container that is kept open hears so again and again, until it is released', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] })
  t.teardown(() => mock.timers.reset())
  const talk = new LauncherTalk()
  const connection = new Heard()
  talk.speaksOn(connection)
  talk.say({ verb: 'hold' })
  t.strictSame(connection.messages, [{ verb: 'hold', ms: 120_000 }])
  mock.timers.tick(60_000)
  t.strictSame(connection.verbs, ['hold', 'hold', 'hold', 'hold'], 'several times in what one word lasts')
  talk.say({ verb: 'hold' })
  mock.timers.tick(20_000)
  t.equal(connection.verbs.length, 6, 'said anew, it is repeated no faster')
  talk.say({ verb: 'release', code: 75 })
  mock.timers.tick(600_000)
  t.strictSame(connection.messages.slice(6), [{ verb: 'release', code: 75 }])
})

for (const [what, next] of [
  ['whose connection is lost', (talk: LauncherTalk, connection: Heard) => talk.lost(connection)],
  ['that speaks on another connection', (talk: LauncherTalk) => talk.speaksOn(new Heard())],
  ['that waits to begin', (talk: LauncherTalk) => talk.reassure('7@2', () => false)],
] as const)
  t.test(`a launcher ${what} hears of it no more`, async (t) => {
    mock.timers.enable({ apis: ['setInterval'] })
    t.teardown(() => mock.timers.reset())
    const talk = new LauncherTalk()
    const connection = new Heard()
    talk.speaksOn(connection)
    talk.say({ verb: 'hold' })
    next(talk, connection)
    mock.timers.tick(600_000)
    t.strictSame(
      connection.verbs.filter((verb) => verb === 'hold'),
      ['hold'],
    )
  })
