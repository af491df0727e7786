/** A container that starts again in its pod after its preStop ended it with a checkpoint: a probe failed, and the process in it hangs. */
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import t, { type Test } from 'tap'
import { ContainerKeeper } from '../../../sidecar/container/keeper.ts'
import { clearEnded, endedWith, hungCheckpoints, noteEnded } from '../../../sidecar/lineage/ended-note.ts'
import type { CheckpointManifest } from '../../../src/manifest.ts'
import { createDirectoryStore } from '../../../src/store/directory.ts'
import { folderFor, never, sampleDraft, writeTree } from '../../store/samples.ts'
import { containerPlan, Heard, sleeper, surroundings } from '../stand-ins.ts'

const asRoot = { skip: process.getuid?.() === 0 ? false : 'only root may make /reprieve' }
const generation = { id: '20260101T030405.678Z-0a1b2c3d', began: 'first' } as const

const of = (id: string, parent: string | undefined, uid = 'u') =>
  ({ id, parent, pod: { uid }, generation }) as unknown as CheckpointManifest

async function stage(t: Test) {
  const name = `hung-${process.pid}`
  const folders = [`/reprieve/run/${name}`, `/reprieve/staging/${name}`]
  const clear = () => [...folders, `/reprieve/run/${name}.ended-with`, `/reprieve/run/${name}.epoch`].forEach((path) => rmSync(path, { recursive: true, force: true })) // prettier-ignore
  clear()
  for (const folder of folders) mkdirSync(folder, { recursive: true })
  t.teardown(clear)
  const folder = folderFor(t)
  const source = writeTree(`${folder}/source`, { a: Buffer.from('a') })
  const store = createDirectoryStore({ name: 'own', path: `${folder}/store` })
  const around = surroundings(store)
  const slot = { lineage: around.podPlan.lineage, container: name }
  const own = { uid: 'u', name: 'p', node: 'n' }
  await store.epochs.take(slot, { pod: 'p', uid: 'u', node: 'n' }, never)
  const put = async (parent?: string) => {
    const sample = sampleDraft()
    const fits = { ...sample.fits, fingerprint: 'f', architecture: process.arch }
    const draft = { ...sample, slot, fits, pod: own, generation }
    return (await store.put(parent === undefined ? draft : { ...draft, parent }, source, never)).manifest.id
  }
  /** The launcher of the restarted container: what it was not restored from, and why. */
  const restart = async () => {
    const keeper = new ContainerKeeper(around, { ...containerPlan, name })
    const { pid } = await sleeper(t, 'elsewhere')
    keeper.hear(new Heard(), { verb: 'run', container: name, pid, launcher: 'x', at: { state: 'waiting' } })
    await keeper.settled()
    return keeper.status.rejected.filter(({ detail }) => /hung/.test(detail)).map(({ id }) => id)
  }
  return { name, put, restart, store, slot }
}

t.test(
  'the hung process is passed over, here and in later pods, and older checkpoints are not',
  asRoot,
  async (t) => {
    const { name, put, restart, store, slot } = await stage(t)
    await put()
    const hung = await put()
    await noteEnded(name, hung)
    t.same(await restart(), [hung])
    t.same(await endedWith(name), undefined)
    t.same(Object.keys((await store.readRecord(slot, never)).trials), [hung])
    t.same(await restart(), [hung], 'for good')
  },
)

t.test(
  'what it was restored from goes as well where it hung before it had another one',
  asRoot,
  async (t) => {
    const { name, put, restart } = await stage(t)
    const first = await put()
    const second = await put()
    const hung = await put(second)
    await noteEnded(name, hung)
    t.same((await restart()).toSorted(), [second, hung])
    const again = await put(first)
    await noteEnded(name, again)
    t.same(
      (await restart()).toSorted(),
      [first, second, hung, again].toSorted(),
      'at last it begins from its beginning',
    )
  },
)

t.test('a checkpoint that was taken since the restore proves that the older one is good', async (t) => {
  const all = [of('c', 'a'), of('b', 'a'), of('a', undefined)]
  t.same(hungCheckpoints(all, 'c'), ['c'])
  t.same(hungCheckpoints(all.filter(({ id }) => id !== 'b'), 'c'), ['c', 'a']) // prettier-ignore
  t.same(hungCheckpoints([of('c', 'a'), of('b', 'a', 'another pod'), of('a', undefined)], 'c'), ['c', 'a'])
  t.same(hungCheckpoints([], 'c'), ['c'], 'a store that lists nothing')
})

t.test('without a note nothing hung', asRoot, async (t) => {
  const { name, put, restart } = await stage(t)
  const last = await put()
  t.same(await restart(), [])
  await noteEnded(name, last)
  await clearEnded(name)
  t.notOk(existsSync(`/reprieve/run/${name}.ended-with`))
})
