/** One slot, several writers: each a store of its own, as in pods on different nodes. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { sealJson } from '../../src/sealed-json.ts'
import { diedEarly, emptySlotRecord } from '../../src/slot-record.ts'
import { createDirectoryStore } from '../../src/store/directory.ts'
import { closeGate, gatePath, isGate, newestEpoch, takeEpoch } from '../../src/store/epochs.ts'
import { folderFor, leftovers, never, sampleDraft, slot, slotPath, takes, writeTree } from './samples.ts'

type Test = Parameters<typeof folderFor>[0]

const holder = (pod: string) => ({ pod, uid: pod, node: 'n' })
const fenced = { code: 'lineage-fenced' }

function stage(t: Test) {
  const folder = folderFor(t)
  const root = join(folder, 'store')
  const source = writeTree(join(folder, 'source'), { a: Buffer.from('a') })
  const writer = () => createDirectoryStore({ name: 'disk', path: root })
  const gates = () => readdirSync(join(slotPath(root), 'epochs')).filter(isGate)
  return { root, source, writer, gates }
}

t.test('an earlier writer stores nothing more, records nothing, and removes nothing', async (t) => {
  const { root, source, writer } = stage(t)
  const [old, young] = [writer(), writer()]
  await takes(old, 'old')
  const { manifest } = await old.put(sampleDraft(), source, never)
  t.equal(manifest.epoch, 1)
  await takes(young, 'young')
  await t.rejects(old.put(sampleDraft(), source, never), fenced)
  await t.rejects(old.draftFolder(slot, sampleDraft().id, never), fenced)
  await t.rejects(old.writeRecord(slot, emptySlotRecord(), never), fenced)
  await t.rejects(old.prune(slot, 0, never), fenced)
  await t.rejects(old.removeBefore(slot, '2099-01-01T00:00:00.000Z', never), fenced)
  await t.rejects(old.epochs.beat(slot, never), fenced)
  t.same((await young.list(slot, never)).manifests, [manifest])
  t.equal((await young.put(sampleDraft(), source, never)).manifest.epoch, 2)
  await young.prune(slot, 2, never)
  t.same(leftovers(root), [])
})

t.test('a beat under way when its writer leaves does not take the slot again', async (t) => {
  const { writer, gates } = stage(t)
  for (let turn = 0; turn < 40; turn++) {
    const one = writer()
    await takes(one, `pod-${turn}`)
    const beating = one.epochs.beat(slot, never).then(() => undefined, (error: unknown) => error) // prettier-ignore
    await one.epochs.leave(slot, never)
    const failure = await beating
    if (failure !== undefined) t.match(failure, fenced)
    t.same(gates(), [], `turn ${turn}`)
  }
})

t.test('what an earlier writer is in the middle of is not published', async (t) => {
  const { root, source, writer } = stage(t)
  const [old, young] = [writer(), writer()]
  await takes(old, 'old')
  for (let index = 0; index < 200; index++) writeFileSync(join(source, String(index)), 'x'.repeat(10_000))
  for (let round = 0; round < 20; round++) {
    await takes(old, 'old')
    const draft = sampleDraft()
    const put = old.put(draft, source, never).then(
      () => 'stored',
      (error: { code: string }) => error.code,
    )
    for (let turns = 0; turns < round * 3; turns++) await new Promise(setImmediate)
    await takes(young, 'young')
    const { manifests } = await young.list(slot, never)
    const listed = manifests.some(({ id }) => id === draft.id)
    t.equal(await put, listed ? 'stored' : 'lineage-fenced', `round ${round}`)
    t.same(
      (await young.list(slot, never)).manifests.length,
      manifests.length,
      'nothing appears after the slot was taken',
    )
    await young.prune(slot, 1, never)
  }
  t.same(leftovers(root), [])
})

t.test(
  'of many that take a slot at once each has an epoch of its own, and the last one writes',
  async (t) => {
    const { source, writer, gates } = stage(t)
    const writers = Array.from({ length: 12 }, writer)
    const taken = await Promise.allSettled(writers.map((store, index) => takes(store, String(index))))
    const numbers = taken.flatMap((each) => (each.status === 'fulfilled' ? [each.value.number] : []))
    t.equal(new Set(numbers).size, numbers.length, 'no two have one number')
    t.equal(gates().length, 1)
    const puts = await Promise.allSettled(writers.map((store) => store.put(sampleDraft(), source, never)))
    t.equal(puts.filter(({ status }) => status === 'fulfilled').length, 1)
  },
)

t.test('a claim whose writer died before it opened its gate is passed', async (t) => {
  const { root, source, writer } = stage(t)
  const store = writer()
  await takes(store)
  mkdirSync(join(slotPath(root), 'epochs', '2'))
  const young = writer()
  t.equal((await takes(young)).number, 3)
  await t.rejects(store.put(sampleDraft(), source, never), fenced)
  t.equal((await young.put(sampleDraft(), source, never)).manifest.epoch, 3)
})

t.test('a gate that was half closed is closed by the next writer', async (t) => {
  const { root, source, writer, gates } = stage(t)
  const [old, dead, young] = [writer(), writer(), writer()]
  await takes(old)
  const [gate = ''] = gates()
  await takes(dead)
  // As it would be if the second one had died before it closed the first one's.
  mkdirSync(gatePath(slotPath(root), gate))
  t.equal((await takes(young)).number, 3)
  t.equal(gates().length, 1)
  await t.rejects(old.put(sampleDraft(), source, never), fenced)
})

t.test('a writer that has left can come back, unless another one has come', async (t) => {
  const { source, writer } = stage(t)
  const [one, other] = [writer(), writer()]
  const epoch = await takes(one, 'one')
  await one.epochs.leave(slot, never)
  t.match(await other.epochs.newest(slot, never), { number: 1, holder: holder('one'), beat: undefined })
  t.match(await one.epochs.resume(slot, epoch, holder('one'), never), { number: 2 })
  await one.put(sampleDraft(), source, never)
  await one.epochs.leave(slot, never)
  await takes(other, 'other')
  t.equal(await one.epochs.resume(slot, epoch, holder('one'), never), undefined)
  await t.rejects(one.put(sampleDraft(), source, never), fenced)
})

t.test('a slot that was swept is taken anew by its writer, unless another one has come', async (t) => {
  const { root, source, writer } = stage(t)
  const [one, other] = [writer(), writer()]
  for (let again = 0; again < 5; again++) await takes(one, 'one')
  rmSync(slotPath(root), { recursive: true })
  t.match(await one.epochs.beat(slot, never), { number: 1 })
  await one.put(sampleDraft(), source, never)
  rmSync(slotPath(root), { recursive: true })
  await takes(other, 'other')
  await t.rejects(one.epochs.beat(slot, never), fenced, 'a later life of the slot begins at 1 as well')
  await t.rejects(one.put(sampleDraft(), source, never), fenced)
  await other.put(sampleDraft(), source, never)
})

t.test('a caller that takes no turns keeps out of a slot that has a writer', async (t) => {
  const { source, writer } = stage(t)
  const [one, other] = [writer(), writer()]
  await one.put(sampleDraft(), source, never)
  await t.rejects(other.put(sampleDraft(), source, never), fenced)
  await t.rejects(other.prune(slot, 0, never), fenced)
  await one.epochs.leave(slot, never)
  await other.put(sampleDraft(), source, never)
})

t.test('a checkpoint of a release without epochs is read, and counts as before', async (t) => {
  const { root, source, writer } = stage(t)
  const store = writer()
  const { manifest } = await store.put(sampleDraft(), source, never)
  const { epoch, ...old } = manifest
  t.equal(epoch, 1)
  writeFileSync(join(slotPath(root), manifest.id, 'manifest.json'), sealJson(old))
  t.same(await store.list(slot, never), { manifests: [old], unreadable: [] })
  await store.writeRecord(slot, diedEarly(emptySlotRecord(), manifest.id, 'x'), never)
  t.same((await store.prune(slot, 1, never)).removed, [])
})

t.test('a writer that goes on while its gate is being closed does not keep it open', async (t) => {
  const folder = folderFor(t)
  const { gate } = await takeEpoch(folder, holder('old'))
  const state = { running: true }
  let made = 0
  const busy = (async () => {
    for (; state.running; made++) {
      const path = join(folder, `own-${made}`)
      mkdirSync(path)
      await rename(path, join(gatePath(folder, gate), String(made))).catch(() => (state.running = false))
    }
  })()
  await closeGate(folder, gate)
  await busy
  t.notOk(readdirSync(join(folder, 'epochs')).some(isGate))
  t.equal((await newestEpoch(folder))?.beat, undefined)
})
