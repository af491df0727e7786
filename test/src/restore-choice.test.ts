import fc from 'fast-check'
import t from 'tap'
import { completeManifest } from '../../src/manifest-codec.ts'
import type { CheckpointManifest } from '../../src/manifest.ts'
import { chooseCheckpoints } from '../../src/restore-choice.ts'
import { diedEarly, emptySlotRecord, finished } from '../../src/slot-record.ts'
import { sampleDraft } from '../store/samples.ts'

const here = { fingerprint: 'f1', architecture: 'x86_64' }
const make = (changes = {}) => completeManifest(sampleDraft(changes), [])
const ids = (manifests: CheckpointManifest[]) => manifests.map(({ id }) => id)
const [old, middle, young] = [make(), make(), make()]
const all = [young, middle, old]

const fits = (changes: object) => ({
  fits: { fingerprint: 'f1', architecture: 'x86_64', launcher: 'l', ...changes },
})

t.test('of checkpoints that all fit, the newest comes first and none is rejected', async (t) => {
  t.same(chooseCheckpoints(all, emptySlotRecord(), here, 'latest'), { candidates: all, rejected: [] })
})

t.test('a pod that asks for no restore gets none', async (t) => {
  const { candidates, rejected } = chooseCheckpoints(all, emptySlotRecord(), here, 'never')
  t.same(candidates, [])
  t.same(
    rejected.map(({ reason }) => reason),
    ['restore-never', 'restore-never', 'restore-never'],
  )
})

t.test('a pod that asks for one checkpoint gets that one only', async (t) => {
  const { candidates, rejected } = chooseCheckpoints(all, emptySlotRecord(), here, middle.id)
  t.same(ids(candidates), [middle.id])
  t.same(
    rejected.map(({ id, reason }) => [id, reason]),
    [
      [young.id, 'not-asked-for'],
      [old.id, 'not-asked-for'],
    ],
  )
})

t.test('an asked checkpoint that the store does not have is named', async (t) => {
  const { candidates, rejected } = chooseCheckpoints([old], emptySlotRecord(), here, young.id)
  t.same(candidates, [])
  t.match(rejected, [
    { id: old.id, reason: 'not-asked-for' },
    { id: young.id, reason: 'not-found' },
  ])
})

t.test(
  'a checkpoint of another image or another architecture is passed over, the next one is tried',
  async (t) => {
    const [arm, changed] = [make(fits({ architecture: 'aarch64' })), make(fits({ fingerprint: 'f2' }))]
    const { candidates, rejected } = chooseCheckpoints([arm, changed, old], emptySlotRecord(), here, 'latest')
    t.same(ids(candidates), [old.id])
    t.match(rejected, [
      { id: arm.id, reason: 'unfit-architecture', detail: 'made on aarch64, this is x86_64' },
      { id: changed.id, reason: 'unfit-fingerprint', detail: /made of f2, this is f1/ },
    ])
  },
)

t.test(
  'a checkpoint from which the application died early once is tried again, after twice it is not',
  async (t) => {
    const once = diedEarly(emptySlotRecord(), young.id, 'exit 1')
    t.equal(chooseCheckpoints(all, once, here, 'latest').candidates[0]?.id, young.id)
    const twice = diedEarly(once, young.id, 'exit 2')
    const { candidates, rejected } = chooseCheckpoints(all, twice, here, 'latest')
    t.same(ids(candidates), [middle.id, old.id])
    t.match(rejected, [{ id: young.id, reason: 'died-early', detail: /2 times, at last: exit 2/ }])
    t.same(chooseCheckpoints(all, twice, here, young.id).candidates, [], 'not even when it is asked for')
  },
)

t.test('nothing made before the application finished is restored, what was made after is', async (t) => {
  const record = finished(emptySlotRecord(), middle.createdAt)
  const { candidates, rejected } = chooseCheckpoints(all, record, here, 'latest')
  t.same(ids(candidates), [young.id])
  t.same(
    rejected.map(({ id, reason }) => [id, reason]),
    [
      [middle.id, 'finished'],
      [old.id, 'finished'],
    ],
  )
})

t.test(
  'whatever the history, each checkpoint is a candidate or rejected, once, and the order stays',
  async () => {
    const history = fc.array(fc.record({ which: fc.nat(2), deed: fc.constantFrom('died', 'finished') }), {
      maxLength: 8,
    })
    const modes = fc.constantFrom('latest', 'never', old.id, young.id)
    fc.assert(
      fc.property(history, modes, fc.constantFrom('f1', 'f2'), (deeds, mode, fingerprint) => {
        let record = emptySlotRecord()
        for (const { which, deed } of deeds) {
          const manifest = all[which] ?? young
          if (deed === 'died') record = diedEarly(record, manifest.id, 'x')
          else record = finished(record, manifest.createdAt)
        }
        const { candidates, rejected } = chooseCheckpoints(all, record, { ...here, fingerprint }, mode)
        const seen = [...ids(candidates), ...rejected.map(({ id }) => id)].sort()
        const ordered = ids(candidates).every((id, at, list) => at === 0 || id < (list[at - 1] ?? ''))
        return seen.join() === ids(all).sort().join() && ordered
      }),
    )
  },
)
