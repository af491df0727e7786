/** A store that namespaces share: one folder for each, and what a release before 0.3 left beside them. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import t from 'tap'
import { errnoOf } from '../../src/errors.ts'
import type { Slot } from '../../src/manifest.ts'
import { emptySlotRecord } from '../../src/slot-record.ts'
import { createDirectoryStore } from '../../src/store/directory.ts'
import { migrateStore } from '../../src/store/migrate-store.ts'
import { encodeName } from '../../src/store/slot-folder.ts'
import { moveSlot } from '../../src/store/slot-places.ts'
import { age, day, week } from './aged.ts'
import { differences, folderFor, never, readTree, sampleDraft, sampleFiles, writeTree } from './samples.ts'

type Test = Parameters<typeof folderFor>[0]

const slotOf = (lineage: string, container = 'main'): Slot => ({ lineage, container })
const holder = { pod: 'p', uid: 'u', node: 'n' }
const free = async () => () => undefined
const lock = async (file: string) => (file.includes('locked') ? undefined : () => undefined)

function stage(t: Test) {
  const folder = folderFor(t)
  const root = join(folder, 'store')
  const source = writeTree(join(folder, 'source'), sampleFiles)
  /** As a pod of an earlier release has the store. */
  const flat = () => createDirectoryStore({ name: 'disk', path: root })
  /** As a pod that mounts the folder of its namespace only. */
  const own = (namespace: string) => createDirectoryStore({ name: 'disk', path: join(root, namespace) })
  /** As a pod of one of `wholeStores`. */
  const whole = (namespace: string) =>
    createDirectoryStore({ name: 'disk', path: join(root, namespace), earlierPath: root })
  /** A checkpoint in a slot that was last used some time ago. */
  const left = async (store: ReturnType<typeof flat>, slot: Slot, ageMs = 0) => {
    await store.epochs.take(slot, holder, never)
    const { manifest } = await store.put(sampleDraft({ slot }), source, never)
    await store.epochs.leave(slot, never)
    age(dirname(await store.lockFile(slot, never)), ageMs)
    return manifest
  }
  const sweep = (ttlMs: number, namespaceBytes?: number) =>
    flat().sweep(
      { retention: { ttlMs, ...(namespaceBytes === undefined ? {} : { namespaceBytes }) }, lock: free },
      never,
    )
  return { folder, root, flat, own, whole, left, sweep }
}

t.test('the folder of a namespace holds nothing of another one', async (t) => {
  const { root, own, left } = stage(t)
  await left(own('team-a'), slotOf('team-a/Job/x'))
  await left(own('team-b'), slotOf('team-b/Job/x'))
  t.same(readdirSync(join(root, 'team-a')), ['team-a+Job+x'])
  t.same((await own('team-a').list(slotOf('team-b/Job/x'), never)).manifests, [])
})

t.test('what an earlier release left is found, and moves with the slot when a pod takes it', async (t) => {
  const { folder, root, flat, own, whole, left } = stage(t)
  const slot = slotOf('team-a/Job/x')
  const manifest = await left(flat(), slot)
  await left(flat(), slotOf('team-a/Job/x', 'other'))
  await flat().writeRecord(
    slot,
    { ...emptySlotRecord(), needs: { memoryBytes: 2 ** 30, podUid: 'u' } },
    never,
  )
  const record = await flat().readRecord(slot, never)

  const store = whole('team-a')
  const earlier = await store.lockFile(slot, never)
  t.equal(earlier, join(root, 'team-a+Job+x/main/claim'), 'the pod waits at the lock of the earlier pod')
  t.match((await store.list(slot, never)).manifests, [{ id: manifest.id }])
  t.match(await store.epochs.newest(slot, never), { number: 2 })
  const epoch = await store.epochs.take(slot, holder, never)
  t.equal(epoch.number, 3, 'the epochs go on')
  t.equal(await store.lockFile(slot, never), join(root, 'team-a/team-a+Job+x/main/claim'))
  t.same(readdirSync(join(root, 'team-a+Job+x')), ['other'], 'another container’s stays until it is taken')
  t.same(await store.readRecord(slot, never), record)
  await store.fetch(manifest, join(folder, 'fetched'), never)
  t.same(differences(readTree(join(folder, 'fetched')), sampleFiles), [])
  await store.put(sampleDraft({ slot }), join(folder, 'source'), never)

  await whole('team-a').epochs.take(slotOf('team-a/Job/x', 'other'), holder, never)
  t.notOk(existsSync(join(root, 'team-a+Job+x')), 'with its last slot a lineage has gone')
  t.equal((await own('team-a').list(slot, never)).manifests.length, 2, 'pods without the rest see it all')
})

t.test('a slot that the namespace has already is not replaced by an earlier one', async (t) => {
  const { flat, own, whole, left } = stage(t)
  const slot = slotOf('team-a/Job/x')
  await left(flat(), slot)
  const { id } = await left(own('team-a'), slot)
  const store = whole('team-a')
  await store.epochs.take(slot, holder, never)
  t.match((await store.list(slot, never)).manifests, [{ id }])
  t.equal((await flat().list(slot, never)).manifests.length, 1, 'the other one waits for its time to live')
})

t.test('a sweep of the whole store sees the folders of all namespaces, and what lies beside them', async (t) => {
  const { root, flat, own, left, sweep } = stage(t)
  await left(own('team-a'), slotOf('team-a/Job/old'), 8 * day)
  await left(own('team-a'), slotOf('team-a/Job/young'), day)
  await left(own('team-b'), slotOf('team-b/Job/old'), 8 * day)
  await left(flat(), slotOf('team-b/Job/older'), 9 * day)
  mkdirSync(join(root, 'pictures/holidays'), { recursive: true })
  mkdirSync(join(root, 'team-b/.x.trash-0123abcd'), { recursive: true })
  writeFileSync(join(root, 'pictures/.x.trash-0123abcd'), 'not ours')
  const swept = (await sweep(week)).map(({ lineage, outcome }) => `${lineage} ${outcome}`).toSorted()
  t.same(swept, ['team-a+Job+old removed', 'team-b+Job+old removed', 'team-b+Job+older removed'])
  t.same(readdirSync(root).toSorted(), ['pictures', 'team-a', 'team-b'])
  t.same(readdirSync(join(root, 'team-a')), ['team-a+Job+young'])
  t.same(readdirSync(join(root, 'team-b')), [], 'the folder itself stays: a pod that starts may have it mounted')
  t.same(readdirSync(join(root, 'pictures')).toSorted(), ['.x.trash-0123abcd', 'holidays'])
}) // prettier-ignore

t.test('the bytes of a namespace are counted wherever they lie', async (t) => {
  const { own, flat, left, sweep } = stage(t)
  const { totalBytes } = await left(own('team-a'), slotOf('team-a/Job/new'), day)
  await left(flat(), slotOf('team-a/Job/before'), 2 * day)
  await left(own('team-b'), slotOf('team-b/Job/x'), 3 * day)
  t.match(await sweep(week, totalBytes * 1.5), [{ lineage: 'team-a+Job+before', why: 'bytes', outcome: 'removed' }])
}) // prettier-ignore

t.test('a migration moves what no pod uses, and says what it leaves', async (t) => {
  const { root, flat, own, left } = stage(t)
  const { id } = await left(flat(), slotOf('team-a/Job/x'), day)
  await left(flat(), slotOf('team-a/Job/locked'), day)
  await left(flat(), slotOf('team-b/Job/living'))
  await left(flat(), slotOf('team-b/Job/again'), day)
  await left(own('team-b'), slotOf('team-b/Job/again'))
  const migrate = async (dryRun: boolean) =>
    (await migrateStore(root, { lock, dryRun }, never))
      .map(({ lineage, outcome }) => `${lineage} ${outcome}`)
      .toSorted()
  t.same(await migrate(true), [
    'team-a+Job+locked in-use',
    'team-a+Job+x would-move',
    'team-b+Job+again would-move',
    'team-b+Job+living in-use',
  ])
  t.same(await migrate(false), [
    'team-a+Job+locked in-use',
    'team-a+Job+x moved',
    'team-b+Job+again superseded',
    'team-b+Job+living in-use',
  ])
  t.match((await own('team-a').list(slotOf('team-a/Job/x'), never)).manifests, [{ id }])
  t.notOk(existsSync(join(root, encodeName('team-a/Job/x'))))
})

t.test('a sweep that removes the empty folder of a lineage does not keep a slot from its place', async (t) => {
  const { folder } = stage(t)
  const [from, to] = [join(folder, 'earlier/main'), join(folder, 'home/ns/lineage/main')]
  mkdirSync(from, { recursive: true })
  const once = async (): Promise<void> => {
    const code = await rmdir(dirname(to)).catch(errnoOf)
    if (code === 'ENOENT') await once()
  }
  const sweeping = once()
  t.equal(await moveSlot(from, to), true)
  await sweeping
  t.ok(existsSync(to))
}) // prettier-ignore

t.test('what is no namespace’s is neither moved nor swept', async (t) => {
  const { root, sweep } = stage(t)
  for (const name of ['C++', '+x', 'a.b+x']) mkdirSync(join(root, name, 'empty'), { recursive: true })
  age(root, 30 * day)
  t.same(await migrateStore(root, { lock }, never), [])
  t.same(await sweep(week), [])
})

t.test('the sweep’s program migrates when it is told to', async (t) => {
  const { root, flat, own, left } = stage(t)
  const { id } = await left(flat(), slotOf('team-a/Job/x'), day)
  const say = (...more: string[]) =>
    execFileSync(process.execPath, ['sidecar/sweep-main.ts', `--store=${root}`, ...more], { encoding: 'utf8' })
  t.equal(say(), 'nothing to remove\n')
  t.match(say('--migrate', '--dry-run'), /^would move into the folder of its namespace: team-a\+Job\+x main\n/)
  await left(own('team-a'), slotOf('team-a/Job/old'), 30 * day)
  t.equal(say('--migrate'), 'moved into the folder of its namespace: team-a+Job+x main\n')
  t.match((await own('team-a').list(slotOf('team-a/Job/x'), never)).manifests, [{ id }])
  t.match(say('--migrate', '--ttl=168h'), /^nothing to move\nremoved team-a\+Job\+old main/, 'it sweeps where it is told how')
}) // prettier-ignore
