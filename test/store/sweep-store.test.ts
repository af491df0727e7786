/** Sweeps of a whole store, with slots that were left, slots that live, and pods that come while they run. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Slot } from '../../src/manifest.ts'
import { createDirectoryStore } from '../../src/store/directory.ts'
import { isGate } from '../../src/store/epochs.ts'
import { putBack, removeEmptySlot } from '../../src/store/remove-slot.ts'
import { encodeName, partialName } from '../../src/store/slot-folder.ts'
import type { SweepOptions, Swept } from '../../src/store/sweep-store.ts'
import { age, day, week } from './aged.ts'
import { folderFor, never, sampleDraft, writeTree } from './samples.ts'

type Test = Parameters<typeof folderFor>[0]

const slotOf = (lineage: string): Slot => ({ lineage, container: 'main' })
const free = async () => () => undefined
const outcomes = (swept: Swept[]) => swept.map(({ lineage, outcome }) => `${lineage} ${outcome}`).toSorted()

function stage(t: Test) {
  const folder = folderFor(t)
  const root = join(folder, 'store')
  const source = writeTree(join(folder, 'source'), { a: Buffer.from('0123456789') })
  const open = () => createDirectoryStore({ name: 'disk', path: root })
  const path = (lineage: string) => join(root, encodeName(lineage), 'main')
  const holder = { pod: 'p', uid: 'u', node: 'n' }
  /** A slot with two checkpoints, last used some time ago. */
  const left = async (lineage: string, ageMs: number) => {
    const store = open()
    await store.epochs.take(slotOf(lineage), holder, never)
    for (const _ of [1, 2]) await store.put(sampleDraft({ slot: slotOf(lineage) }), source, never)
    writeFileSync(await store.lockFile(slotOf(lineage), never), '{}')
    age(path(lineage), ageMs)
    return store
  }
  const sweep = (more: Partial<SweepOptions> = {}) =>
    open().sweep({ retention: { ttlMs: week }, lock: free, ...more }, never)
  const listed = async (lineage: string) => (await open().list(slotOf(lineage), never)).manifests.length
  return { root, source, open, path, left, sweep, listed, holder }
}

t.test('a lineage goes when its time to live is over, and not before', async (t) => {
  const { root, left, sweep, listed } = stage(t)
  await left('ns/Job/old', 8 * day)
  await left('ns/Job/young', 6 * day)
  t.match(await sweep(), [{ lineage: 'ns+Job+old', checkpoints: 2, why: 'ttl', outcome: 'removed' }])
  t.same(readdirSync(root), ['ns+Job+young'], 'nothing is left of the old one')
  t.equal(await listed('ns/Job/young'), 2)
  t.same(await sweep(), [])
})

t.test('a dry run says what it would do, and changes nothing', async (t) => {
  const { root, left, sweep } = stage(t)
  await left('ns/Job/old', 8 * day)
  const before = readdirSync(root, { recursive: true }).toSorted()
  t.match(await sweep({ dryRun: true }), [{ checkpoints: 2, bytes: 20, outcome: 'would-remove' }])
  t.same(readdirSync(root, { recursive: true }).toSorted(), before)
})

t.test('a pod that lives keeps its slot: by its beat, or by its lock where it has no beat', async (t) => {
  const { left, sweep, listed } = stage(t)
  const beating = await left('ns/Job/beating', 30 * day)
  await beating.epochs.beat(slotOf('ns/Job/beating'), never)
  await left('ns/Job/locked', 30 * day)
  t.same(outcomes(await sweep({ lock: async () => undefined })), ['ns+Job+locked in-use'])
  t.same([await listed('ns/Job/beating'), await listed('ns/Job/locked')], [2, 2])
})

t.test('a lock that a file server keeps for a dead node keeps no slot', async (t) => {
  const { left, sweep } = stage(t)
  for (const [lineage, uid] of [
    ['ns/Job/of-the-writer', 'u'],
    ['ns/Job/of-another', 'v'],
  ] as const) {
    // prettier-ignore
    const store = await left(lineage, 30 * day)
    const file = await store.lockFile(slotOf(lineage), never)
    writeFileSync(file, JSON.stringify({ pod: 'p', uid }))
    age(dirname(file), 30 * day)
  }
  const swept = await sweep({ lock: async () => undefined })
  t.same(outcomes(swept), ['ns+Job+of-another in-use', 'ns+Job+of-the-writer removed'])
})

t.test('a pod that comes while its slot is being swept has it, and is not fenced', async (t) => {
  const { left, sweep, open, source, holder } = stage(t)
  for (const when of ['before the epoch', 'after the sweep'] as const) {
    const lineage = `ns/Job/${when.replaceAll(' ', '-')}`
    await left(lineage, 8 * day)
    const pod = open()
    const come = () => pod.epochs.take(slotOf(lineage), holder, never)
    const lock = async () => {
      if (when === 'before the epoch') await come()
      return () => undefined
    }
    const swept = await sweep({ lock })
    if (when === 'after the sweep') await come()
    t.match(swept, [{ outcome: when === 'before the epoch' ? 'in-use' : 'removed' }])
    await pod.epochs.beat(slotOf(lineage), never)
    await pod.put(sampleDraft({ slot: slotOf(lineage) }), source, never)
  }
})

t.test('a checkpoint that a pod stores while a sweep stands still in its slot stays', async (t) => {
  const { root, path, left, listed, open, source, holder } = stage(t)
  const lineage = 'ns/Job/taken-over'
  const pod = await left(lineage, 8 * day)
  const place = { root, lineage: encodeName(lineage), container: 'main' }
  // The sweep goes on where it had removed what it found.
  t.equal(await removeEmptySlot(place), false)
  t.equal(await listed(lineage), 2)
  await pod.epochs.beat(slotOf(lineage), never)
  t.ok(await pod.put(sampleDraft({ slot: slotOf(lineage) }), source, never), 'its pod goes on')
  // Meanwhile the pod has found its slot gone, and made it anew.
  const aside = join(root, partialName('aside', '0123456789ab.17.4711'))
  renameSync(path(lineage), aside)
  const again = open()
  await again.epochs.take(slotOf(lineage), holder, never)
  await again.put(sampleDraft({ slot: slotOf(lineage) }), source, never)
  t.ok(await putBack(aside, path(lineage)))
  t.equal(await listed(lineage), 4)
  t.notOk(existsSync(aside))
  await again.epochs.beat(slotOf(lineage), never)
})

t.test('other data in the volume of the store is not swept, whatever its age', async (t) => {
  const { root, left, sweep } = stage(t)
  await left('ns/Job/old', 8 * day)
  for (const path of ['datasets/images', 'lost+found/#1234', 'ns+notes/main', 'empty/folder']) {
    mkdirSync(join(root, path), { recursive: true })
    if (!path.startsWith('empty')) writeFileSync(join(root, path, 'file'), '')
    age(join(root, path.split('/')[0] ?? ''), 100 * day)
  }
  t.same(outcomes(await sweep()), ['ns+Job+old removed'])
  t.same(readdirSync(root, { recursive: true }).toSorted(), ['datasets', 'datasets/images', 'datasets/images/file', 'empty', 'empty/folder', 'lost+found', 'lost+found/#1234', 'lost+found/#1234/file', 'ns+notes', 'ns+notes/main', 'ns+notes/main/file']) // prettier-ignore
})

t.test(
  'a checkpoint is stored while a sweep that was cut short is still removing a large file',
  async (t) => {
    const { root, source, left, holder } = stage(t)
    await left('ns/Job/old', 8 * day)
    const store = createDirectoryStore({ name: 'disk', path: root, abortGraceMs: 10, hangsMs: 0 })
    await store.epochs.take(slotOf('ns/Job/living'), holder, never)
    const removing = Promise.withResolvers<() => void>()
    const abort = new AbortController()
    const lock = async () => {
      abort.abort()
      return removing.promise
    }
    await t.rejects(store.sweep({ retention: { ttlMs: week }, lock }, abort.signal), { code: 'store-failed' })
    await sleep(10)
    t.ok(await store.put(sampleDraft({ slot: slotOf('ns/Job/living') }), source, never))
    await store.epochs.beat(slotOf('ns/Job/living'), never)
    removing.resolve(() => undefined)
  },
)

t.test('the folder of a lineage without slots, which a killed sweep left, goes', async (t) => {
  const { root, left, sweep } = stage(t)
  await left('ns/Job/young', day)
  mkdirSync(join(root, 'ns+Job+gone'))
  await sweep()
  t.same(readdirSync(root), ['ns+Job+young'])
})

t.test('what a writer of an ended pod left half written goes before the rest', async (t) => {
  const { left, path, sweep, listed } = stage(t)
  await left('ns/Job/x', day)
  const gate = readdirSync(join(path('ns/Job/x'), 'epochs')).find(isGate) ?? ''
  const partial = join(path('ns/Job/x'), 'epochs', gate, partialName('one.draft', '0123456789ab.17.4711'))
  mkdirSync(join(partial, 'criu'), { recursive: true })
  writeFileSync(join(partial, 'criu', 'pages'), 'x'.repeat(1000))
  age(partial, day)
  t.same(await sweep(), [])
  t.notOk(existsSync(partial))
  t.equal(await listed('ns/Job/x'), 2)
})

t.test('checkpoints of a release without epochs live as long as others', async (t) => {
  const { root, left, path, sweep, listed } = stage(t)
  for (const [name, ageMs] of [
    ['old', 8 * day],
    ['young', 6 * day],
  ] as const) {
    await left(`ns/Job/${name}`, ageMs)
    rmSync(join(path(`ns/Job/${name}`), 'epochs'), { recursive: true })
  }
  await sweep()
  t.same(readdirSync(root), ['ns+Job+young'])
  t.equal(await listed('ns/Job/young'), 2)
})

t.test('a namespace beyond its bound makes room; only the one that is asked for is swept', async (t) => {
  const { left, sweep, listed } = stage(t)
  await left('one/Job/a', 2 * day)
  await left('one/Job/b', day)
  await left('two/Job/a', 2 * day)
  const retention = { ttlMs: week, namespaceBytes: 20 }
  t.match(await sweep({ retention, namespace: 'one' }), [{ lineage: 'one+Job+a', why: 'bytes' }])
  t.same([await listed('one/Job/b'), await listed('two/Job/a')], [2, 2])
})

t.test('two sweeps at once remove the same, once', async (t) => {
  const { root, left, sweep } = stage(t)
  for (let count = 0; count < 20; count++) await left(`ns/Job/${count}`, count < 15 ? 8 * day : day)
  const [one, other] = await Promise.all([sweep(), sweep()])
  t.equal(readdirSync(root).length, 5)
  t.same([...one, ...other].filter(({ outcome }) => outcome === 'failed'), []) // prettier-ignore
  t.equal([...one, ...other].filter(({ outcome }) => outcome === 'removed').length, 15)
})

t.test(
  'a sweep that is killed at any instant shows no half checkpoint, and the next one ends it',
  async (t) => {
    const { root, left, sweep, open } = stage(t)
    await left('ns/Job/young', day)
    for (let round = 0; round < 12; round++) {
      for (let count = 0; count < 10; count++) await left(`ns/Job/${count}`, 8 * day)
      const sweeping = spawn(process.execPath, [join(import.meta.dirname, 'sweep-process.ts'), root], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await once(sweeping.stdout, 'data')
      await sleep(Math.random() * 60)
      sweeping.kill('SIGKILL')
      await once(sweeping, 'exit')
      for (let count = 0; count < 10; count++)
        t.same((await open().list(slotOf(`ns/Job/${count}`), never)).unreadable, [])
      await sweep()
      t.same(readdirSync(root), ['ns+Job+young'], `round ${round}`)
    }
  },
)
