/** What somebody else may have put into the source, the store or the target. */
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createDirectoryStore } from '../../src/store/directory.ts'
import {
  folderFor,
  leftovers,
  never,
  readTree,
  sampleDraft,
  sampleFiles,
  slot,
  slotPath,
  writeTree,
} from './samples.ts'

async function stored(t: { teardown(fn: () => void): void }) {
  const folder = folderFor(t)
  const root = join(folder, 'store')
  const source = writeTree(join(folder, 'source'), sampleFiles)
  const store = createDirectoryStore({ name: 'disk', path: root, transfer: 'copy' })
  const { manifest } = await store.put(sampleDraft(), source, never)
  return { folder, root, source, store, manifest, files: join(slotPath(root), manifest.id, 'files') }
}

t.test('a source with a link, a pipe or an unfit name is refused, all of them named', async (t) => {
  const { store, source, root } = await stored(t)
  symlinkSync('/etc/passwd', join(source, 'link'))
  execFileSync('mkfifo', [join(source, 'criu', 'pipe')])
  writeFileSync(join(source, 'new\nline'), '')
  await t.rejects(store.put(sampleDraft(), source, never), {
    code: 'store-failed',
    message: /(?=.*"new\\nline" has a name)(?=.*"link" is neither)(?=.*"criu\/pipe" is neither)/,
  })
  t.same(leftovers(root), [])
})

t.test('a source that does not exist is refused and leaves nothing', async (t) => {
  const { store, folder, root } = await stored(t)
  await t.rejects(store.put(sampleDraft(), join(folder, 'nowhere'), never), {
    code: 'store-failed',
    data: { errno: 'ENOENT' },
  })
  t.same(leftovers(root), [])
})

for (const [what, damage] of Object.entries<(file: string) => void>({
  'is missing': (file) => rmSync(file),
  'has 5000 bytes instead of': (file) => truncateSync(file, 5000),
  'has 9999999 bytes instead of': (file) => truncateSync(file, 9_999_999),
  'is not a regular file': (file) => {
    renameSync(file, `${file}.real`)
    symlinkSync(`${file}.real`, file)
  },
})) {
  t.test(
    `a stored file that ${what}: the checkpoint is corrupt, and nothing is left of the fetch`,
    async (t) => {
      const { store, folder, manifest, files } = await stored(t)
      damage(join(files, 'criu/pages-1.img'))
      await t.rejects(store.fetch(manifest, join(folder, 'target'), never), {
        code: 'checkpoint-corrupt',
        message: new RegExp(`criu/pages-1.img ${what}`),
        data: { path: 'criu/pages-1.img' },
      })
      t.notOk(existsSync(join(folder, 'target')))
    },
  )
}

t.test('a pipe in place of a stored file does not hang the fetch', async (t) => {
  const { store, folder, manifest, files } = await stored(t)
  rmSync(join(files, 'notes.txt'))
  execFileSync('mkfifo', [join(files, 'notes.txt')])
  await t.rejects(store.fetch(manifest, join(folder, 'target'), never), {
    code: 'checkpoint-corrupt',
    data: { path: 'notes.txt' },
  })
})

t.test('a link in the target leads no file elsewhere', async (t) => {
  const { store, folder, manifest } = await stored(t)
  const elsewhere = writeTree(join(folder, 'elsewhere'), { 'notes.txt': Buffer.from('mine') })
  const target = join(folder, 'target')
  mkdirSync(target)
  symlinkSync(join(elsewhere, 'notes.txt'), join(target, 'notes.txt'))
  await t.rejects(store.fetch(manifest, target, never), { code: 'store-failed', data: { errno: 'EEXIST' } })
  rmSync(join(target, 'notes.txt'))
  symlinkSync(elsewhere, join(target, 'criu'))
  await t.rejects(store.fetch(manifest, target, never), { code: 'store-failed', data: { errno: 'EEXIST' } })
  t.same(readTree(elsewhere), { 'notes.txt': Buffer.from('mine') })
  t.same(readdirSync(target), ['criu'], 'what the fetch wrote is gone, what was there is not')
})

t.test('files of the target that were there before survive a fetch that fails', async (t) => {
  const { store, folder, manifest } = await stored(t)
  const target = writeTree(join(folder, 'target'), {
    'notes.txt': Buffer.from('mine'),
    'criu/other': Buffer.from('mine'),
  })
  await t.rejects(store.fetch(manifest, target, never), { code: 'store-failed' })
  t.same(readTree(target), { 'notes.txt': Buffer.from('mine'), 'criu/other': Buffer.from('mine') })
})

t.test('a manifest that leads out of the target is refused', async (t) => {
  const { store, folder, manifest } = await stored(t)
  const [first, ...rest] = manifest.files
  const forged = { ...manifest, files: [{ sizeBytes: 1, sha256: '', ...first, path: '../out' }, ...rest] }
  await t.rejects(store.fetch(forged, join(folder, 'target'), never), { code: 'manifest-invalid' })
})

t.test('a link in place of a lineage is refused', async (t) => {
  const { store, folder, root } = await stored(t)
  renameSync(join(root, 'ml-team+StatefulSet+train+0'), join(folder, 'moved'))
  symlinkSync(join(folder, 'moved'), join(root, 'ml-team+StatefulSet+train+0'))
  await t.rejects(store.list(slot, never), { code: 'store-failed', message: /is not a folder/ })
})

t.test('a checkpoint that is not in the store is missing, not corrupt', async (t) => {
  const { store, folder, manifest } = await stored(t)
  await store.prune(slot, 0, never)
  await t.rejects(store.fetch(manifest, join(folder, 'target'), never), {
    code: 'store-failed',
    message: /not in the store/,
  })
})

t.test('200 flips of a random bit of a random file are all detected, none reaches the restore', async (t) => {
  const { store, folder, manifest, root } = await stored(t)
  const checkpoint = join(slotPath(root), manifest.id)
  const names = [
    ...manifest.files.filter(({ sizeBytes }) => sizeBytes > 0).map(({ path }) => `files/${path}`),
    'manifest.json',
  ]
  const unseen: string[] = []
  for (let round = 0; round < 200; round++) {
    const name = names[Math.floor(Math.random() * names.length)] ?? ''
    const bytes = readFileSync(join(checkpoint, name))
    const at = Math.floor(Math.random() * bytes.length)
    const bit = 1 << Math.floor(Math.random() * 8)
    const flip = () => {
      bytes[at] = (bytes[at] ?? 0) ^ bit
      writeFileSync(join(checkpoint, name), bytes)
    }
    flip()
    const { manifests, unreadable } = await store.list(slot, never)
    let outcome = unreadable.length === 1 ? 'checkpoint-corrupt manifest.json' : 'seen by nobody'
    if (manifests[0] !== undefined) {
      outcome = await store.fetch(manifests[0], join(folder, 'target'), never).then(
        () => 'seen by nobody',
        (error: { code: string; data: { path: string } }) => `${error.code} files/${error.data.path}`,
      )
    }
    if (outcome !== `checkpoint-corrupt ${name}`) unseen.push(`${name} byte ${at} bit ${bit}: ${outcome}`)
    if (existsSync(join(folder, 'target'))) unseen.push(`${name}: something was left in the target`)
    flip()
  }
  t.same(unseen, [])
  await store.fetch(manifest, join(folder, 'target'), never)
  t.comment(`${200 - unseen.length} of 200 flips detected`)
})
