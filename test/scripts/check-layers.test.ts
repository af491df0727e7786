import t from 'tap'
import { layeringProblems } from '../../scripts/check-layers.ts'

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

t.test('this repository keeps to its layers', async (t) => {
  t.same(layeringProblems(process.cwd()), [])
})
