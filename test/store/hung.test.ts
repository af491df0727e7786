/** A store whose file system does not answer: its calls hang for good, but not those of others. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createDirectoryStore } from '../../src/store/directory.ts'
import { hungMount } from './hung-mount.ts'
import { trashName } from '../../src/store/slot-folder.ts'
import { folderFor, never, sampleDraft, slot, slotPath, takes, writeTree } from './samples.ts'

const refused = { code: 'store-failed', data: { aborted: true } }

const soon = () => AbortSignal.timeout(50)

/** For a call that does other things before it comes to what hangs. */
const later = () => AbortSignal.timeout(2_000)

/** Rejects where no thread is left to read a file of the disk. */
async function readsAFile(): Promise<boolean> {
  const text = await readFile(import.meta.filename, { signal: AbortSignal.timeout(60_000) })
  return text.length > 0
}

t.test('calls at once into a store that hangs cost one thread together', async (t) => {
  const path = join(folderFor(t), 'store')
  hungMount(t, path)
  const store = createDirectoryStore({ name: 'nfs', path, abortGraceMs: 10 })
  await Promise.all([
    t.rejects(store.list(slot, soon()), refused),
    t.rejects(store.prune(slot, 1, soon()), refused),
    t.rejects(store.draftFolder(slot, sampleDraft().id, soon()), refused),
    t.rejects(store.lockFile(slot, soon()), refused),
    t.rejects(store.readRecord(slot, soon()), refused),
  ])
  t.ok(await readsAFile())
})

t.test('while a call hangs no other is begun, and it is told since when', async (t) => {
  const path = join(folderFor(t), 'store')
  const comeBack = hungMount(t, path)
  const store = createDirectoryStore({ name: 'nfs', path, abortGraceMs: 10, hangsMs: 200 })
  for (let call = 0; call < 6; call++) await t.rejects(store.list(slot, AbortSignal.timeout(20)), refused)
  t.ok(await readsAFile())
  await sleep(250)
  // With a signal that never comes: it is refused at once, or this waits for ever.
  await t.rejects(store.list(slot, never), {
    code: 'store-failed',
    message: /store "nfs" does not answer since \d+ s: .* to list checkpoints, which was given up/,
    data: { aborted: true, hangs: true },
  })
  comeBack()
  // The call that hung has to return to this process first.
  for (const until = Date.now() + 60_000; Date.now() < until; await sleep(10))
    if (await store.list(slot, never).then(() => true, () => false)) break // prettier-ignore
  t.same(await store.list(slot, never), { manifests: [], unreadable: [] }, 'it is used again')
})

t.test('one that is only slow is waited for', async (t) => {
  const path = join(folderFor(t), 'store')
  const comeBack = hungMount(t, path)
  const store = createDirectoryStore({ name: 'nfs', path, abortGraceMs: 10 })
  await t.rejects(store.list(slot, AbortSignal.timeout(20)), refused)
  const list = store.list(slot, AbortSignal.timeout(30_000))
  comeBack()
  t.same(await list, { manifests: [], unreadable: [] })
})

t.test('while one write hangs, checkpoints are read; not while two do', async (t) => {
  const folder = folderFor(t)
  const source = join(folder, 'source')
  hungMount(t, source)
  const store = createDirectoryStore({
    name: 'disk',
    path: join(folder, 'store'),
    abortGraceMs: 10,
    hangsMs: 200,
  })
  const write = () => store.put(sampleDraft(), source, later())
  await t.rejects(write(), refused)
  t.same(await store.list(slot, never), { manifests: [], unreadable: [] })
  t.match(await store.readRecord(slot, never), {})
  await t.rejects(write(), refused, 'a second write waits for the first')
  await sleep(250)
  t.same(await store.list(slot, never), { manifests: [], unreadable: [] }, 'however long the write hangs')
  const other = createDirectoryStore({
    name: 'disk',
    path: join(folder, 'store'),
    abortGraceMs: 10,
    hangsMs: 200,
  })
  await takes(other)
  const together = () => other.put(sampleDraft(), source, later())
  await Promise.all([t.rejects(together(), refused), t.rejects(together(), refused)])
  await sleep(250)
  await t.rejects(other.list(slot, never), { ...refused, message: /to store checkpoint/ })
})

t.test('while a removal hangs, checkpoints are stored and read; no other is removed', async (t) => {
  const folder = folderFor(t)
  const path = join(folder, 'store')
  const source = writeTree(join(folder, 'source'), { a: Buffer.from('a') })
  const store = createDirectoryStore({ name: 'nfs', path, abortGraceMs: 10, hangsMs: 200 })
  await store.put(sampleDraft(), source, never)
  hungMount(t, join(slotPath(path), trashName('slow'), 'files'))
  await t.rejects(store.prune(slot, 1, later()), refused)
  await sleep(250)
  const second = sampleDraft()
  await store.put(second, source, never)
  t.equal((await store.list(slot, never)).manifests.length, 2)
  await t.rejects(store.prune(slot, 1, never), { data: { hangs: true }, message: /to prune checkpoints/ })
  t.ok(await readsAFile())
})
