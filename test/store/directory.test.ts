import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { makeCheckpointId } from '../../src/checkpoint-id.ts'
import { createLog } from '../../src/log.ts'
import { parseManifest } from '../../src/manifest-codec.ts'
import { diedEarly, emptySlotRecord, finished } from '../../src/slot-record.ts'
import { createDirectoryStore } from '../../src/store/directory.ts'
import { openStore } from '../../src/store/open.ts'
import { age, day, week } from './aged.ts'
import {
  differences,
  folderFor,
  leftovers,
  never,
  readTree,
  sampleDraft,
  sampleFiles,
  slot,
  slotPath,
  takes,
  writeTree,
} from './samples.ts'

for (const transfer of ['copy', 'link-or-copy'] as const) {
  t.test(`what was put comes back to the byte (${transfer})`, async (t) => {
    const folder = folderFor(t)
    const source = writeTree(join(folder, 'source'), sampleFiles)
    const store = createDirectoryStore({ name: 'disk', path: join(folder, 'store'), transfer })
    const { manifest, hashMs, syncMs } = await store.put(sampleDraft(), source, never)
    t.ok(hashMs > 0 && syncMs > 0, 'the times were taken')
    t.same(await store.list(slot, never), { manifests: [manifest], unreadable: [] })
    const { readMs } = await store.fetch(manifest, join(folder, 'a', 'target'), never)
    t.ok(readMs > 0)
    t.same(differences(readTree(join(folder, 'a', 'target')), sampleFiles), [])
    t.same(leftovers(join(folder, 'store')), [])

    const [stored, original] = [
      join(slotPath(join(folder, 'store')), manifest.id, 'files', 'notes.txt'),
      join(source, 'notes.txt'),
    ]
    t.equal(
      lstatSync(stored).ino === lstatSync(original).ino,
      transfer === 'link-or-copy',
      'one file with two names',
    )
    rmSync(source, { recursive: true })
    await store.fetch(manifest, join(folder, 'again'), never)
    t.same(differences(readTree(join(folder, 'again')), sampleFiles), [], 'the source is not needed any more')
  })
}

t.test('where a link is not possible, across mounts, it copies', async (t) => {
  const folder = folderFor(t)
  // /dev/shm is a file system of its own.
  const source = writeTree(join('/dev/shm', `reprieve-test-${process.pid}`), sampleFiles)
  t.teardown(() => rmSync(source, { recursive: true }))
  const store = createDirectoryStore({ name: 'disk', path: folder, transfer: 'link-or-copy' })
  const { manifest } = await store.put(sampleDraft(), source, never)
  await store.fetch(manifest, join(folder, 'target'), never)
  t.same(differences(readTree(join(folder, 'target')), sampleFiles), [])
})

t.test('a store that does not exist is made for this user alone', async (t) => {
  const path = join(folderFor(t), 'deep', 'store')
  const store = openStore({ kind: 'directory', name: 'default', path }, createLog('test'))
  t.equal(store.name, 'default')
  t.notOk(existsSync(path), 'not before its first use')
  t.same(await store.list(slot, never), { manifests: [], unreadable: [] })
  t.equal(lstatSync(path).mode & 0o777, 0o700)
  const source = writeTree(join(path, '..', 'source'), sampleFiles)
  chmodSync(join(source, 'notes.txt'), 0o644)
  await createDirectoryStore({ name: 'x', path, transfer: 'copy' }).put(sampleDraft(), source, never)
  const open = readdirSync(path, { recursive: true, withFileTypes: true }).filter(
    (entry) => (lstatSync(join(entry.parentPath, entry.name)).mode & 0o077) !== 0,
  )
  t.same(open, [], 'nothing in it is for others')
})

t.test('checkpoints are listed newest first, each slot for itself', async (t) => {
  const folder = folderFor(t)
  const source = writeTree(join(folder, 'source'), { a: Buffer.from('a') })
  const store = createDirectoryStore({ name: 'disk', path: join(folder, 'store') })
  const drafts = [sampleDraft(), sampleDraft(), sampleDraft()]
  for (const draft of [drafts[1], drafts[0], drafts[2]]) if (draft) await store.put(draft, source, never)
  await store.put(sampleDraft({ slot: { ...slot, container: 'other' } }), source, never)
  await store.put(sampleDraft({ slot: { ...slot, lineage: 'ml-team/StatefulSet/train' } }), source, never)
  const { manifests } = await store.list(slot, never)
  t.same(
    manifests.map(({ id }) => id),
    drafts.map(({ id }) => id).toReversed(),
  )
})

/** Oldest first. */
async function sixCheckpoints(t: Test) {
  const folder = folderFor(t)
  const source = writeTree(join(folder, 'source'), { a: Buffer.from('a') })
  const root = join(folder, 'store')
  const store = createDirectoryStore({ name: 'disk', path: root })
  const ids: string[] = []
  for (let count = 0; count < 6; count++)
    ids.push((await store.put(sampleDraft(), source, never)).manifest.id)
  return { store, root, ids }
}

t.test('a checkpoint that cannot be read is counted with its reason, the others are listed', async (t) => {
  const { store, root, ids } = await sixCheckpoints(t)
  const [cut, missing, moved, pipe, plain, good] = ids.map((id) => join(slotPath(root), id))
  if (!cut || !missing || !moved || !pipe || !plain || !good) throw new Error('six were put')
  writeFileSync(join(cut, 'manifest.json'), readFileSync(join(cut, 'manifest.json')).subarray(0, -9))
  rmSync(join(missing, 'manifest.json'))
  writeFileSync(join(moved, 'manifest.json'), readFileSync(join(good, 'manifest.json')))
  rmSync(join(pipe, 'manifest.json'))
  mkdirSync(join(pipe, 'manifest.json'))
  rmSync(plain, { recursive: true })
  writeFileSync(plain, 'not a folder')
  const { manifests, unreadable } = await store.list(slot, never)
  t.same(
    manifests.map(({ id }) => id),
    [ids[5]],
  )
  t.match(unreadable, [
    { id: ids[4], reason: /not a folder/ },
    { id: ids[3], reason: /not a regular file/ },
    { id: ids[2], reason: /it was moved here/ },
    { id: ids[1], reason: /ENOENT/ },
    { id: ids[0], reason: /cut short/ },
  ])
})

t.test('prune keeps the newest complete ones, and unreadable ones no longer than those', async (t) => {
  const { store, root, ids } = await sixCheckpoints(t)
  for (const damaged of [0, 4]) rmSync(join(slotPath(root), ids[damaged] ?? '', 'manifest.json'))
  const { removed } = await store.prune(slot, 2, never)
  t.same(removed.sort(), [ids[0], ids[1], ids[2]])
  t.same(
    (await store.list(slot, never)).manifests.map(({ id }) => id),
    [ids[5], ids[3]],
  )
  const left = readdirSync(slotPath(root)).filter((name) => name !== 'epochs')
  t.same(left.sort(), [ids[3], ids[4], ids[5]])
  t.same((await store.prune(slot, 2, never)).removed, [], 'and nothing more')
  t.same((await store.prune(slot, 0, never)).removed.length, 3, 'to keep none removes all')
  t.same((await store.prune({ ...slot, container: 'unknown' }, 1, never)).removed, [])
  await t.rejects(store.prune(slot, -1, never), { code: 'store-failed' })
})

t.test('prune keeps what was put last, by a clock that is behind the others as well', async (t) => {
  const folder = folderFor(t)
  const source = writeTree(join(folder, 'source'), { a: Buffer.from('a') })
  const root = join(folder, 'store')
  const drafts = [sampleDraft(), sampleDraft(), sampleDraft(), sampleDraft()] as const
  const [behind, ...others] = drafts
  const elsewhere = createDirectoryStore({ name: 'disk', path: root })
  for (const draft of others) await elsewhere.put(draft, source, never)
  const store = createDirectoryStore({ name: 'disk', path: root })
  await takes(store)
  await store.put(behind, source, never)
  t.same((await store.prune(slot, 3, never)).removed, [others[0].id], 'and no more than the others')
  t.same((await store.prune(slot, 1, never)).removed.sort(), [others[1].id, others[2].id])
  t.same((await store.prune(slot, 0, never)).removed, [behind.id])
})

t.test('prune ends an older generation by the clock of the store, not by that of its pods', async (t) => {
  const folder = folderFor(t)
  const source = writeTree(join(folder, 'source'), { a: Buffer.from('a') })
  const root = join(folder, 'store')
  const store = createDirectoryStore({ name: 'disk', path: root })
  const [a, b] = [makeCheckpointId(new Date(1)), makeCheckpointId(new Date(2))]
  const older = { ...sampleDraft(), generation: { id: a, began: 'first' } } as const
  await store.put(older, source, never)
  await store.put({ ...sampleDraft(), generation: { id: b, began: 'surroundings' } }, source, never)
  const prune = () => store.prune(slot, 2, never, { generation: b, ttlMs: week })
  t.same((await prune()).removed, [], 'its id is months old, and its manifest young')
  age(join(slotPath(root), older.id), 8 * day)
  t.same(
    (await store.prune(slot, 2, never, { generation: b })).removed,
    [],
    'without a time to live it stays',
  )
  t.same((await prune()).removed, [older.id])
})

t.test('prune removes nothing when nothing complete would be left', async (t) => {
  const folder = folderFor(t)
  const source = writeTree(join(folder, 'source'), { a: Buffer.from('a') })
  const store = createDirectoryStore({ name: 'disk', path: folder })
  const { manifest } = await store.put(sampleDraft(), source, never)
  rmSync(join(slotPath(folder), manifest.id, 'manifest.json'))
  t.same((await store.prune(slot, 1, never)).removed, [])
})

t.test('removeBefore removes what was made before the instant, readable or not', async (t) => {
  const folder = folderFor(t)
  const source = writeTree(join(folder, 'source'), { a: Buffer.from('a') })
  const store = createDirectoryStore({ name: 'disk', path: folder })
  const drafts = [sampleDraft(), sampleDraft(), sampleDraft()] as const
  for (const draft of drafts) await store.put(draft, source, never)
  rmSync(join(slotPath(folder), drafts[0].id, 'manifest.json'))
  const { removed } = await store.removeBefore(slot, drafts[2].createdAt, never)
  t.same(removed.sort(), [drafts[0].id, drafts[1].id])
  t.same(
    (await store.list(slot, never)).manifests.map(({ id }) => id),
    [drafts[2].id],
  )
  await t.rejects(store.removeBefore(slot, 'yesterday', never), { code: 'store-failed' })
})

t.test('a slot remembers its record; one never written is empty', async (t) => {
  const store = createDirectoryStore({ name: 'disk', path: folderFor(t) })
  t.same(await store.readRecord(slot, never), emptySlotRecord())
  const record = finished(
    diedEarly(emptySlotRecord(), sampleDraft().id, 'exit 1'),
    '2026-01-02T03:04:05.678Z',
  )
  await store.writeRecord(slot, record, never)
  t.same(await store.readRecord(slot, never), record)
  await store.writeRecord(slot, emptySlotRecord(), never)
  t.same(await store.readRecord(slot, never), emptySlotRecord())
})

t.test('a damaged record is put aside, and the slot goes on with an empty one', async (t) => {
  const path = folderFor(t)
  const lines: string[] = []
  const store = createDirectoryStore({
    name: 'disk',
    path,
    log: pino({}, { write: (line: string) => lines.push(line) }),
  })
  await store.writeRecord(slot, finished(emptySlotRecord(), '2026-01-02T03:04:05.678Z'), never)
  const file = join(slotPath(path), 'record.json')
  const damaged = readFileSync(file).fill(0x20, 40, 41)
  writeFileSync(file, damaged)
  t.same(await store.readRecord(slot, never), emptySlotRecord())
  t.ok(readFileSync(`${file}.unreadable`).equals(damaged))
  t.notOk(existsSync(file))
  t.match(lines, [/could not be read; an empty one takes its place/], 'a warning says so, once')
})

t.test('an id that is there already is not overwritten', async (t) => {
  const folder = folderFor(t)
  const root = join(folder, 'store')
  const source = writeTree(join(folder, 'source'), { a: Buffer.from('a') })
  const store = createDirectoryStore({ name: 'disk', path: root })
  const draft = sampleDraft()
  const { manifest } = await store.put(draft, source, never)
  writeFileSync(join(source, 'b'), 'b')
  await t.rejects(store.put(draft, source, never), {
    code: 'store-failed',
    message: /already has a checkpoint/,
  })
  t.same((await store.list(slot, never)).manifests, [manifest])
  t.same(leftovers(root), [])
})

t.test('a draft that could not be read back is refused before anything is written', async (t) => {
  const folder = folderFor(t)
  const store = createDirectoryStore({ name: 'disk', path: folder })
  await t.rejects(store.put(sampleDraft({ createdAt: 'now' }), folder, never), { code: 'manifest-invalid' })
  t.same(leftovers(folder), [])
})

t.test('a root that vanished fails clearly, and is not made anew in its place', async (t) => {
  const folder = folderFor(t)
  const path = join(folder, 'store')
  const source = writeTree(join(folder, 'source'), { a: Buffer.from('a') })
  const store = createDirectoryStore({ name: 'disk', path })
  const { manifest } = await store.put(sampleDraft(), source, never)
  renameSync(path, join(folder, 'away'))
  const vanished = { code: 'store-failed', message: /has vanished/ }
  await t.rejects(store.put(sampleDraft(), source, never), vanished)
  await t.rejects(store.list(slot, never), vanished)
  await t.rejects(store.fetch(manifest, join(folder, 'target'), never), vanished)
  t.notOk(existsSync(path))
  renameSync(join(folder, 'away'), path)
  t.same((await store.list(slot, never)).manifests, [manifest], 'when it is back, everything is')
})

t.test('a root that is a file fails clearly', async (t) => {
  const path = join(folderFor(t), 'file')
  writeFileSync(path, '')
  await t.rejects(createDirectoryStore({ name: 'disk', path }).list(slot, never), {
    code: 'store-failed',
    message: /is not a folder/,
  })
})

t.test('the manifest on the disk is the one that was returned', async (t) => {
  const folder = folderFor(t)
  const source = writeTree(join(folder, 'source'), sampleFiles)
  const { manifest } = await createDirectoryStore({ name: 'disk', path: folder }).put(
    sampleDraft(),
    source,
    never,
  )
  t.strictSame(parseManifest(readFileSync(join(slotPath(folder), manifest.id, 'manifest.json'))), manifest)
})
