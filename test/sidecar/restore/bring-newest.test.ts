/** The restore init container, in a store without locks: what it leaves to the sidecar when another pod has the lineage. */
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import t, { type Test } from 'tap'
import { bringNewest } from '../../../sidecar/restore/bring-newest.ts'
import { busyMark } from '../../../sidecar/restore/preparation.ts'
import { budgetFor } from '../../../sidecar/restore/restore-budget.ts'
import { createDirectoryStore } from '../../../src/store/directory.ts'
import { folderFor, never } from '../../store/samples.ts'
import { containerPlan, lockIn, podPlan, surroundings } from '../stand-ins.ts'

const asRoot = { skip: process.getuid?.() === 0 ? false : 'only root may make /reprieve' }
const wholeMs = 100_000

async function beside(t: Test) {
  const name = `brought-${process.pid}`
  mkdirSync('/reprieve/run', { recursive: true })
  const clear = () =>
    ['busy', 'epoch', 'restore-budget', 'checkpoint'].forEach((ending) => rmSync(`/reprieve/run/${name}.${ending}`, { force: true })) // prettier-ignore
  clear()
  t.teardown(clear)
  const path = folderFor(t)
  const store = createDirectoryStore({ name: 'own', path })
  // A Deployment's, since a pod of any other kind waits for long.
  const plan = { ...podPlan, lineage: 'ns/Deployment/web' }
  const slot = { lineage: plan.lineage, container: name }
  const other = lockIn(createDirectoryStore({ name: 'other', path }), 'other', {
    slot,
    times: { beatMs: 10 },
  })
  t.teardown(() => other.release())
  t.match(await other.await(never), { outcome: 'taken' })
  const around = { ...surroundings(store), podPlan: plan, identity: { name: 'p', uid: 'u', node: 'n' } }
  const bring = (signal: AbortSignal) =>
    bringNewest(around, { ...containerPlan, name }, { signal, budgetMs: wholeMs })
  return { name, bring, other, left: () => budgetFor(name, 2 * wholeMs) }
}

t.test('beside a pod that lives on, it says so, and has spent none of the budget', asRoot, async (t) => {
  const { name, bring, left } = await beside(t)
  await bring(never)
  t.ok(existsSync(busyMark(name)))
  const leftMs = await left()
  t.ok(leftMs > 0.5 * wholeMs && leftMs <= wholeMs, `${leftMs} ms`)
})

t.test(
  'cut short while another pod ends, it leaves the wait and the budget to the sidecar',
  asRoot,
  async (t) => {
    const { name, bring, other, left } = await beside(t)
    await other.leaving({ epochMs: Date.now() + 3_600_000, leftMs: 3_600_000 } as Parameters<
      typeof other.leaving
    >[0])
    const abort = new AbortController()
    const bringing = bring(abort.signal)
    setTimeout(() => abort.abort(), 500)
    await bringing
    t.notOk(existsSync(busyMark(name)), 'the other pod is not known to live on')
    t.ok((await left()) > 0.5 * wholeMs)
  },
)
