import t from 'tap'
import { circleProblems, layeringProblems, roomProblems } from '../../scripts/check-layers.ts'

t.test('imports that cross a layer’s line are named, others are not', async (t) => {
  const root = t.testdir({
    src: { 'errors.ts': '', 'bad.ts': "import { x } from '../webhook/x.ts'" },
    webhook: { 'x.ts': "import { e } from '../src/errors.ts'\nimport fastify from 'fastify'" },
    sidecar: {
      criu: { 'deep.ts': "import { e } from '../../src/errors.ts'\nimport { f } from '../near.ts'" },
      'near.ts': "const late = await import('../webhook/x.ts')\nexport { y } from '../test/y.ts'",
    },
  })
  t.same(layeringProblems(root), [
    'src/bad.ts imports webhook/x.ts: src/ may import itself only',
    'sidecar/near.ts imports webhook/x.ts: sidecar/ may import src and itself only',
    'sidecar/near.ts imports test/y.ts: sidecar/ may import src and itself only',
  ])
})

t.test('inside the sidecar imports go down only, and only entry files are on its top floor', async (t) => {
  const many = Object.fromEntries(Array.from({ length: 21 }, (_, at) => [`a${at}.ts`, '']))
  const root = t.testdir({
    sidecar: {
      'main.ts': "import { s } from './report/status.ts'",
      'stray.ts': '',
      proc: { 'tree.ts': "import { k } from '../container/keeper.ts'" },
      container: { 'keeper.ts': "import { t } from '../proc/tree.ts'" },
      report: { 'status.ts': "import type { K } from '../container/keeper.ts'" },
      triggers: {
        clouds: { 'aws.ts': "import type { N } from '../notices/notice.ts'" },
        notices: { 'notice.ts': "import { a } from '../clouds/aws.ts'" },
        memory: many,
      },
    },
  })
  t.same(roomProblems(root).sort(), [
    'sidecar/proc/tree.ts imports sidecar/container/keeper.ts: proc/ may import itself only',
    'sidecar/stray.ts is in no room: sidecar/ itself holds main.ts and restore-main.ts only',
    'sidecar/triggers/memory/ holds 21 files, at most 20 are allowed',
    'sidecar/triggers/notices/notice.ts imports sidecar/triggers/clouds/aws.ts: triggers/notices/ may import itself, container, checkpoint, proc only',
  ])
})

t.test('a circle of imports is told, even one of types', async (t) => {
  const root = t.testdir({
    sidecar: {
      proc: {
        'a.ts': "import type { B } from './b.ts'",
        'b.ts': "import type { C } from './c.ts'",
        'c.ts': "import type { A } from './a.ts'",
        'd.ts': "import type { A } from './a.ts'",
      },
    },
  })
  t.same(circleProblems(root), [
    'a circle of imports: sidecar/proc/a.ts → sidecar/proc/b.ts → sidecar/proc/c.ts → sidecar/proc/a.ts',
  ])
})

t.test('this repository keeps to its layers', async (t) => {
  const root = process.cwd()
  t.same([...layeringProblems(root), ...roomProblems(root), ...circleProblems(root)], [])
})
