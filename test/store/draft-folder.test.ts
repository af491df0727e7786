import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createDirectoryStore } from '../../src/store/directory.ts'
import { isLocalFileSystem } from '../../src/store/draft-folder.ts'
import { differences, folderFor, leftovers, never, readTree, sampleDraft, sampleFiles, slot, slotPath, writeTree } from './samples.ts' // prettier-ignore

t.test(
  'what is made in a draft folder is stored without a copy, and stays when the draft goes',
  async (t) => {
    const root = join(folderFor(t), 'store')
    const store = createDirectoryStore({ name: 'disk', path: root })
    const draft = sampleDraft()
    const folder = await store.draftFolder(slot, draft.id, never)
    if (folder === undefined) return t.fail('a folder on a local disk has no draft folder')
    t.equal(statSync(folder).mode & 0o777, 0o700, 'nobody else may read the memory of a program')
    writeTree(folder, sampleFiles)
    t.same((await store.list(slot, never)).manifests, [], 'a draft is no checkpoint')
    const { manifest } = await store.put(draft, folder, never)
    for (const { path } of manifest.files)
      t.equal(
        statSync(join(slotPath(root), draft.id, 'files', path)).ino,
        statSync(join(folder, path)).ino,
        `${path} is the same file`,
      )
    rmSync(folder, { recursive: true })
    const target = join(folderFor(t), 'target')
    await store.fetch(manifest, target, never)
    t.same(differences(readTree(target), sampleFiles), [])
  },
)

t.test('a draft whose maker lives is left alone by prune, and is never listed', async (t) => {
  const root = join(folderFor(t), 'store')
  const store = createDirectoryStore({ name: 'disk', path: root, abandonedAfterMs: 0 })
  const folder = await store.draftFolder(slot, sampleDraft().id, never)
  await store.prune(slot, 1, never)
  t.ok(folder !== undefined && existsSync(folder))
  t.equal(leftovers(root).length, 1)
  t.same(await store.list(slot, never), { manifests: [], unreadable: [] })
})

t.test('two drafts of one checkpoint do not meet', async (t) => {
  const store = createDirectoryStore({ name: 'disk', path: join(folderFor(t), 'store') })
  const { id } = sampleDraft()
  t.not(await store.draftFolder(slot, id, never), await store.draftFolder(slot, id, never))
})

t.test('only file systems of this machine hold drafts', async (t) => {
  const types = {
    ext4: 0xef53,
    xfs: 0x58465342,
    nfs: 0x6969,
    cifs: 0xff534d42,
    fuse: 0x65735546,
    ceph: 0x00c36400,
  }
  t.same(
    Object.entries(types).filter(([, type]) => isLocalFileSystem(type)).map(([name]) => name),
    ['ext4', 'xfs'],
  ) // prettier-ignore
})

t.test('a fetch into a draft folder verifies the stored files and gives them a second name', async (t) => {
  const folder = folderFor(t)
  const root = join(folder, 'store')
  const store = createDirectoryStore({ name: 'disk', path: root })
  const { manifest } = await store.put(sampleDraft(), writeTree(join(folder, 'source'), sampleFiles), never)
  const draft = (await store.draftFolder(slot, manifest.id, never)) ?? ''
  await store.fetch(manifest, draft, never)
  t.same(differences(readTree(draft), sampleFiles), [])
  const stored = join(slotPath(root), manifest.id, 'files')
  for (const { path } of manifest.files)
    t.equal(statSync(join(draft, path)).ino, statSync(join(stored, path)).ino, `${path} is the same file`)
  await store.prune(slot, 0, never)
  t.same(differences(readTree(draft), sampleFiles), [], 'what was fetched stays when the checkpoint goes')
})

t.test('a fetch into a draft folder refuses a flipped bit and leaves nothing', async (t) => {
  const folder = folderFor(t)
  const root = join(folder, 'store')
  const store = createDirectoryStore({ name: 'disk', path: root })
  const { manifest } = await store.put(sampleDraft(), writeTree(join(folder, 'source'), sampleFiles), never)
  const file = manifest.files.find(({ sizeBytes }) => sizeBytes > 0)
  const damaged = join(slotPath(root), manifest.id, 'files', file?.path ?? '')
  const bytes = readFileSync(damaged)
  bytes[0] = (bytes[0] ?? 0) ^ 1
  writeFileSync(damaged, bytes)
  const draft = (await store.draftFolder(slot, manifest.id, never)) ?? ''
  await t.rejects(store.fetch(manifest, draft, never), { code: 'checkpoint-corrupt' })
  t.same(readTree(draft), {})
})
