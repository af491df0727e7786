/** A trouble that may pass: the same checkpoint is tried again, before an older one or none is. */
import { mkdirSync, rmSync } from 'node:fs'
import t, { type Test } from 'tap'
import { ContainerKeeper } from '../../../sidecar/container/keeper.ts'
import { budgetFor, leaveBudget, RestoreBudget } from '../../../sidecar/restore/restore-budget.ts'
import { ReprieveError } from '../../../src/errors.ts'
import type { CheckpointManifest } from '../../../src/manifest.ts'
import { mayPass } from '../../../src/restore-reasons.ts'
import type { Store } from '../../../src/store/store.ts'
import { quietLog } from '../quiet-log.ts'
import { containerPlan, Heard, sleeper, standInStore, surroundings } from '../stand-ins.ts'

const [older, newer] = ['20260101T030405.678Z-0a1b2c3d', '20260102T030405.678Z-0a1b2c3d']
const made = (id: string) =>
  ({ id, createdAt: '2026-01-02T03:04:05.678Z', fits: { fingerprint: 'f', architecture: process.arch }, slot: { lineage: 'l', container: 'x' }, totalBytes: 0, files: [], externalFiles: [], process: { rootPid: 2 ** 22 + 1, pids: [process.pid], stdio: [] } }) as unknown as CheckpointManifest // prettier-ignore
const slow = () => new ReprieveError('store-failed', 'it was aborted', { aborted: true })
const failed = (data: object) => new ReprieveError('store-failed', 'no', { ...data })
const asRoot = { skip: process.getuid?.() === 0 ? false : 'only root may make /reprieve' }

async function prepared(t: Test, restoreBudgetMs: number, parts: Partial<Store>) {
  const name = `retried-${process.pid}`
  const folders = [`/reprieve/run/${name}`, `/reprieve/staging/${name}`]
  for (const folder of folders) mkdirSync(folder, { recursive: true })
  t.teardown(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })))
  const manifests = [made(newer), made(older)]
  const around = surroundings(standInStore({ list: async () => ({ manifests, unreadable: [] }), ...parts }))
  const given = { ...around, podPlan: { ...around.podPlan, restoreBudgetMs } }
  const keeper = new ContainerKeeper(given, { ...containerPlan, name })
  const connection = new Heard()
  const { pid } = await sleeper(t, 'elsewhere')
  keeper.hear(connection, { verb: 'run', container: name, pid, launcher: 'x', at: { state: 'waiting' } })
  await keeper.settled()
  return { verbs: connection.verbs, rejected: keeper.status.rejected }
}

/** Fails so often with what may pass, and then for good. */
function failing(times: number, last: Error) {
  const fetched: string[] = []
  const fetch: Store['fetch'] = async ({ id }) => {
    fetched.push(id)
    throw fetched.length <= times ? slow() : last
  }
  return { fetched, fetch }
}

t.test(
  'a checkpoint that a slow store did not give is fetched again, before an older one',
  asRoot,
  async (t) => {
    const { fetched, fetch } = failing(2, new ReprieveError('checkpoint-corrupt', 'a byte differs'))
    const { verbs, rejected } = await prepared(t, 60_000, { fetch })
    t.same(fetched, [newer, newer, newer, older])
    t.match(rejected, [
      { id: newer, reason: 'checkpoint-corrupt' },
      { id: older, reason: 'checkpoint-corrupt' },
    ])
    t.equal(verbs.at(-1), 'start')
  },
)

t.test('without a budget nothing is tried again', asRoot, async (t) => {
  const { fetched, fetch } = failing(9, slow())
  const { verbs } = await prepared(t, 0, { fetch })
  t.same(fetched, [newer, older])
  t.equal(verbs.at(-1), 'start')
})

t.test(
  'numbers that are taken may be free again, and what was fetched is not fetched anew',
  asRoot,
  async (t) => {
    let fetches = 0
    const fetch: Store['fetch'] = async () => ({ readMs: fetches++ })
    const { rejected } = await prepared(t, 1_500, { fetch })
    t.match(rejected, [
      { id: newer, reason: 'numbers-taken' },
      { id: older, reason: 'numbers-taken' },
    ])
    t.equal(fetches, 2, 'each once')
  },
)

t.test('a store that is slow to list is asked again', asRoot, async (t) => {
  let lists = 0
  const list: Store['list'] = async () => {
    if (++lists < 3) throw slow()
    return { manifests: [], unreadable: [] }
  }
  const { rejected } = await prepared(t, 60_000, { list })
  t.same(rejected, [])
})

t.test('what is refused, gone or damaged is not tried again', async (t) => {
  t.ok(mayPass(failed({ errno: 'ETIMEDOUT' })))
  t.ok(mayPass(new ReprieveError('adoption-late', 'late')))
  for (const errno of ['EACCES', 'ENOTDIR', 'EROFS']) t.notOk(mayPass(failed({ errno })), errno)
  t.notOk(mayPass(failed({})), 'a store that gives no reason')
  for (const code of ['checkpoint-corrupt', 'restore-failed', 'unfit-files'] as const)
    t.notOk(mayPass(new ReprieveError(code, 'no')), code)
  t.notOk(mayPass(new Error('a bug')))
})

t.test('an aborted restore is not tried again', async (t) => {
  const abort = new AbortController()
  const budget = new RestoreBudget(60_000, abort.signal, quietLog)
  const again = budget.allowsRetry(slow())
  abort.abort()
  t.equal(await again, false)
  t.equal(await budget.allowsRetry(slow()), false)
})

t.test('what the restore init container has left counts once', asRoot, async (t) => {
  mkdirSync('/reprieve/run', { recursive: true })
  const name = `left-${process.pid}`
  t.equal(await budgetFor(name, 9_000), 9_000)
  await leaveBudget(name, 1_234.5)
  t.equal(await budgetFor(name, 9_000), 1_235)
  t.equal(await budgetFor(name, 9_000), 9_000)
})
