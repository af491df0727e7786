import fc from 'fast-check'
import t from 'tap'
import { completeManifest } from '../../src/manifest-codec.ts'
import type { CheckpointManifest } from '../../src/manifest.ts'
import { chooseCheckpoints } from '../../src/restore-choice.ts'
import { diedEarly, emptySlotRecord, finished, leftBehind } from '../../src/slot-record.ts'
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

t.test('a checkpoint of another architecture is passed over, and the next one is tried', async (t) => {
  const arm = make(fits({ architecture: 'aarch64' }))
  const { candidates, rejected } = chooseCheckpoints([arm, old], emptySlotRecord(), here, 'latest')
  t.same(ids(candidates), [old.id])
  t.match(rejected, [{ reason: 'unfit-architecture', detail: 'made on aarch64, this is x86_64' }])
})

const template = { image: 'a1', 'env LEARNING_RATE': 'b1', 'securityContext.runAsUser': 'c1' }
const work = (changes: object, more = {}) => fits({ fingerprint: JSON.stringify(changes), parts: { ...template, ...changes }, ...more }) // prettier-ignore
const hereOf = (changes: object, more = {}) => ({ ...here, ...work(changes, more).fits, earlierFingerprint: 'f1' }) // prettier-ignore

t.test('a changed template begins afresh, and is told by the names of what changed', async (t) => {
  const [before, newest] = [make(work({})), make(work({}))]
  const changed = hereOf({ 'env LEARNING_RATE': 'b2', 'env NEW': 'd1' })
  const choice = chooseCheckpoints([newest, before], emptySlotRecord(), changed, 'latest')
  t.same(choice.candidates, [])
  t.same(choice.otherWork, { newest: newest.id, changed: 'env LEARNING_RATE, env NEW', canGoBack: true })
  t.match(choice.rejected[0], {
    reason: 'unfit-fingerprint',
    detail: `env LEARNING_RATE, env NEW changed since; reprieve.dev/restore: ${newest.id} goes back to it`,
  })
})

t.test(
  'a rollback does not resume what its revision did long ago, not even past a damaged one',
  async (t) => {
    const [first, second] = [make(work({})), make(work({ 'env LEARNING_RATE': 'b2' }))]
    const back = make(work({}))
    const choice = chooseCheckpoints([second, first], emptySlotRecord(), hereOf({}), 'latest')
    t.same(choice.candidates, [])
    t.match(choice.rejected, [{ reason: 'unfit-fingerprint' }, { reason: 'left-behind' }])
    const later = chooseCheckpoints([back, second, first], emptySlotRecord(), hereOf({}), 'latest')
    t.same(ids(later.candidates), [back.id])
  },
)

t.test('a rollback before the changed work had a checkpoint begins afresh, too', async (t) => {
  const first = make(work({}))
  const left = { at: first.createdAt, changed: 'env LEARNING_RATE', newest: first.id }
  const { candidates, rejected } = chooseCheckpoints([first], leftBehind(emptySlotRecord(), left), hereOf({}), 'latest') // prettier-ignore
  t.same(candidates, [])
  t.match(rejected, [{ reason: 'left-behind', detail: /env LEARNING_RATE had changed/ }])
  const since = make(work({}))
  t.same(ids(chooseCheckpoints([since, first], leftBehind(emptySlotRecord(), left), hereOf({}), 'latest').candidates), [since.id]) // prettier-ignore
})

t.test('a Job that was deleted and made again does not resume the deleted one', async (t) => {
  const of = (incarnation: string) => make(work({}, { incarnation }))
  const [one, nameless] = [of('uid-1'), make(work({}))]
  const again = hereOf({}, { incarnation: 'uid-2' })
  t.match(chooseCheckpoints([one], emptySlotRecord(), again, 'latest').rejected, [{ reason: 'unfit-incarnation' }]) // prettier-ignore
  t.same(chooseCheckpoints([nameless], emptySlotRecord(), again, 'latest').candidates, [nameless])
  t.same(chooseCheckpoints([one], emptySlotRecord(), hereOf({}), 'latest').candidates, [one])
  t.same(
    chooseCheckpoints([one], emptySlotRecord(), again, one.id).candidates,
    [one],
    'unless it is asked for',
  )
})

t.test('a checkpoint of an earlier release is compared as that release did', async (t) => {
  const [same, other] = [make(), make(fits({ fingerprint: 'f2' }))]
  t.same(chooseCheckpoints([same], emptySlotRecord(), hereOf({}), 'latest').candidates, [same])
  t.match(chooseCheckpoints([other], emptySlotRecord(), hereOf({}), 'latest').rejected, [
    { reason: 'unfit-fingerprint', detail: /^image, command, args, workingDir or mounts changed/ },
  ])
})

t.test('an asked checkpoint is restored in spite of other variables, never with other rights', async (t) => {
  const asked = make(work({}))
  const choose = (changes: object) => chooseCheckpoints([asked], emptySlotRecord(), hereOf(changes), asked.id)
  t.same(choose({ 'env LEARNING_RATE': 'b2' }).candidates, [asked])
  for (const firm of ['image', 'securityContext.runAsUser', 'mount /data'])
    t.match(
      choose({ [firm]: 'x' }).rejected,
      [{ reason: 'unfit-fingerprint', detail: new RegExp(firm) }],
      firm,
    )
})

const generation = (id: string, began = 'first', more = {}) => ({ generation: { id, began, ...more } })

t.test('only the newest generation is resumed without being asked for', async (t) => {
  const [older, younger] = [make(generation('g1')), make(generation('g2', 'surroundings'))]
  const { candidates, rejected } = chooseCheckpoints([younger, older], emptySlotRecord(), here, 'latest')
  t.same(ids(candidates), [younger.id])
  t.match(rejected, [{ id: older.id, reason: 'left-behind' }])
  t.same(ids(chooseCheckpoints([younger, older], emptySlotRecord(), here, older.id).candidates), [older.id])
})

t.test('a pod that asks for one checkpoint goes on from what has been done since then', async (t) => {
  const [one, two] = [make(generation('g1')), make(generation('g1'))]
  const since = make(generation('g2', 'asked-for', { from: one.id }))
  const { candidates, rejected } = chooseCheckpoints([since, two, one], emptySlotRecord(), here, one.id)
  t.same(ids(candidates), [since.id, one.id])
  t.match(rejected, [{ id: two.id, reason: 'not-asked-for' }])
  const pruned = chooseCheckpoints([since, two], emptySlotRecord(), here, one.id)
  t.same(ids(pruned.candidates), [since.id], 'also when the asked one is gone')
})

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
