import t from 'tap'
import { LauncherTalk } from '../../../sidecar/launcher-socket/launcher-talk.ts'
import { Heard } from '../stand-ins.ts'

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
  const began = Date.now()
  const adopted = talk.adopt(tree)
  talk.speaksOn(new Heard())
  t.equal(await adopted, false)
  t.ok(Date.now() - began < 5_000, 'before its deadline')
})
