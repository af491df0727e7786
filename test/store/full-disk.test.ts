/** Real small file systems: a tmpfs of a few MiB, full or read-only. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { emptySlotRecord, finished } from '../../src/slot-record.ts'
import { createDirectoryStore } from '../../src/store/directory.ts'
import { storeFailure } from '../../src/store/store-failure.ts'
import {
  differences,
  folderFor,
  leftovers,
  never,
  readTree,
  sampleDraft,
  sampleFiles,
  slot,
  takes,
  writeTree,
} from './samples.ts'

type Test = { teardown(fn: () => void): void }

function smallDisk(t: Test, options: string): { disk: string; source: string; folder: string } {
  const folder = folderFor(t)
  const disk = join(folder, 'disk')
  mkdirSync(disk)
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'reprieve-test', disk])
  // Teardowns run last first: unmounted before the folder is removed.
  t.teardown(() => execFileSync('umount', [disk]))
  return { folder, disk, source: writeTree(join(folder, 'source'), sampleFiles) }
}

t.test('a disk that fills up during a put fails clearly, and harms nothing that was there', async (t) => {
  const { folder, disk, source } = smallDisk(t, 'size=5m')
  const store = createDirectoryStore({ name: 'small', path: disk })
  const { manifest } = await store.put(sampleDraft(), source, never)
  for (let again = 0; again < 3; again++) {
    await t.rejects(store.put(sampleDraft(), source, never), {
      code: 'store-failed',
      message: /store "small" failed to store checkpoint .* \(the store is full: free space/,
      data: { errno: 'ENOSPC' },
    })
    t.same(leftovers(disk), [], 'the partial is removed')
  }
  t.same(await store.list(slot, never), { manifests: [manifest], unreadable: [] })
  await store.fetch(manifest, join(folder, 'target'), never)
  t.same(differences(readTree(join(folder, 'target')), sampleFiles), [])
  await store.prune(slot, 0, never)
  await store.put(sampleDraft(), source, never)
})

t.test('a disk without room for another file fails a put, and a record stays as it was', async (t) => {
  const { disk, source } = smallDisk(t, 'size=5m,nr_inodes=20')
  const store = createDirectoryStore({ name: 'small', path: disk })
  const record = finished(emptySlotRecord(), '2026-01-02T03:04:05.678Z')
  await store.writeRecord(slot, record, never)
  await store.put(sampleDraft(), source, never)
  await t.rejects(store.put(sampleDraft(), source, never), {
    code: 'store-failed',
    data: { errno: 'ENOSPC' },
  })
  t.same(leftovers(disk), [])
  t.same(await store.readRecord(slot, never), record)
})

t.test('a target that fills up during a fetch fails clearly, and is left empty', async (t) => {
  const { folder, disk, source } = smallDisk(t, 'size=2m')
  const store = createDirectoryStore({ name: 'large', path: join(folder, 'store') })
  const { manifest } = await store.put(sampleDraft(), source, never)
  await t.rejects(store.fetch(manifest, join(disk, 'target'), never), {
    code: 'store-failed',
    data: { errno: 'ENOSPC' },
  })
  t.same(readdirSync(disk), [])
})

t.test('a store mounted read-only lists and fetches, and refuses to be written', async (t) => {
  const { folder, disk, source } = smallDisk(t, 'size=8m')
  const store = createDirectoryStore({ name: 'ro', path: disk })
  const { manifest } = await store.put(sampleDraft(), source, never)
  execFileSync('mount', ['-o', 'remount,ro', disk])
  const refused = { code: 'store-failed', message: /mounted read-only/, data: { errno: 'EROFS' } }
  await t.rejects(store.put(sampleDraft(), source, never), refused)
  await t.rejects(takes(store), refused)
  await t.rejects(store.prune(slot, 0, never), refused)
  await t.rejects(store.writeRecord(slot, emptySlotRecord(), never), refused)
  t.same((await store.list(slot, never)).manifests, [manifest])
  t.same(await store.readRecord(slot, never), emptySlotRecord())
  await store.fetch(manifest, join(folder, 'target'), never)
  t.ok(existsSync(join(folder, 'target', 'notes.txt')))
})

t.test('an error of the disk itself is passed on with what to do', async (t) => {
  const failure = storeFailure(
    'nfs',
    'list checkpoints',
    Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }),
  )
  t.match(failure, { code: 'store-failed', data: { store: 'nfs', errno: 'EIO' }, message: /check it before/ })
  t.equal(storeFailure('nfs', 'list', failure), failure, 'what is said already is not said twice')
})
