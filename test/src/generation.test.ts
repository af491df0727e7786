import t from 'tap'
import { restoredLife, startOfGeneration } from '../../src/generation.ts'

const id = (second: number) => `20260102T0304${String(second).padStart(2, '0')}.000Z-00000000`

t.test('a restore continues the generation of its checkpoint, and names its parent', async (t) => {
  const generation = { id: id(1), began: 'first' } as const
  t.same(
    restoredLife({ id: id(2), generation }, 'latest', () => id(9)),
    { generation, parent: id(2) },
  )
})

t.test('a checkpoint of an earlier release, or one that was asked for, opens a generation', async (t) => {
  const generation = { id: id(1), began: 'first' } as const
  t.same(
    restoredLife({ id: id(2) }, 'latest', () => id(9)),
    {
      generation: { id: id(9), began: 'earlier-release' },
      parent: id(2),
    },
  )
  t.same(
    restoredLife({ id: id(2), generation }, id(2), () => id(9)),
    {
      generation: { id: id(9), began: 'asked-for', from: id(2) },
      parent: id(2),
    },
  )
  const since = { id: id(9), began: 'asked-for', from: id(2) } as const
  t.same(restoredLife({ id: id(3), generation: since }, id(2), () => id(10)).generation, since, 'once')
})

t.test('a start from the beginning says why', async (t) => {
  const cases: [string[], string][] = [
    [[], 'first'],
    [['store-failed'], 'surroundings'],
    [['lineage-busy'], 'surroundings'],
    [['numbers-taken', 'restore-failed'], 'surroundings'],
    [['unfit-fingerprint', 'left-behind'], 'other-work'],
    [['unfit-incarnation'], 'other-work'],
    [['left-behind'], 'other-work'],
    [['restore-never'], 'asked-never'],
    [['finished', 'finished'], 'finished'],
    [['died-early', 'left-behind'], 'died'],
    [['died-early', 'checkpoint-corrupt'], 'damaged'],
    [['restore-failed', 'died-early'], 'damaged'],
    [['unfit-incarnation', 'left-behind', 'checkpoint-corrupt'], 'damaged'],
    [['checkpoint-corrupt', 'finished'], 'damaged'],
    [['not-asked-for', 'not-found'], 'surroundings'],
    [['unfit-architecture'], 'surroundings'],
  ]
  for (const [reasons, began] of cases) t.equal(startOfGeneration(reasons), began, reasons.join())
})
