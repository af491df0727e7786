import fc from 'fast-check'
import t from 'tap'
import { instantOfCheckpointId, isCheckpointId, makeCheckpointId } from '../../src/checkpoint-id.ts'

const instants = fc.date({
  min: new Date('0001-01-01T00:00:00.000Z'),
  max: new Date('9999-12-31T23:59:59.999Z'),
  noInvalidDate: true,
})

t.test('an id has the documented form', async (t) => {
  const id = makeCheckpointId(new Date('2026-01-02T03:04:05.678Z'), Buffer.from([0x0a, 0x1b, 0x2c, 0x3d]))
  t.equal(id, '20260102T030405.678Z-0a1b2c3d')
})

t.test('an id tells its instant, for any instant', async () => {
  fc.assert(fc.property(instants, (at) => instantOfCheckpointId(makeCheckpointId(at)) === at.toISOString()))
})

t.test('ids sort as their instants do', async () => {
  fc.assert(fc.property(instants, instants, (a, b) => a >= b || makeCheckpointId(a) < makeCheckpointId(b)))
})

t.test('two ids of one millisecond differ', async (t) => {
  const at = new Date()
  t.equal(new Set(Array.from({ length: 100 }, () => makeCheckpointId(at))).size, 100)
})

t.test('what is not an id is told from one', async (t) => {
  for (const text of [
    '',
    '20260102T030405.678Z',
    '20260102T030405.678Z-0A1B2C3D',
    '20260102T030405.678Z-0a1b2c3d/..',
    '20260230T030405.678Z-0a1b2c3d',
    '20261302T030405.678Z-0a1b2c3d',
    '20260102T250405.678Z-0a1b2c3d',
    '.20260102T030405.678Z-0a1b2c3d',
    '20260102T030405.678Z-0a1b2c3d\n',
  ])
    t.notOk(isCheckpointId(text), JSON.stringify(text))
  t.notOk(isCheckpointId(7))
})

t.test('an instant that the form cannot hold is refused', async (t) => {
  t.throws(() => makeCheckpointId(new Date('+012345-01-01T00:00:00.000Z')), RangeError)
})
