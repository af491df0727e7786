import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { Deadline } from '../../../src/deadline.ts'
import { ContainerKeeper } from '../../../sidecar/container/keeper.ts'
import { lifeOf } from '../../../sidecar/proc/process-tree.ts'
import { endedWith, RestoreNote } from '../../../sidecar/restore/restore-note.ts'
import type { CheckpointManifest } from '../../../src/manifest.ts'
import { earlyDeathsOf } from '../../../src/slot-record.ts'
import type { Store } from '../../../src/store/store.ts'
import { quietLog } from '../quiet-log.ts'
import { containerPlan, Heard, program, sleeper, standInStore, surroundings } from '../stand-ins.ts'

const id = '20260102T030405.678Z-0a1b2c3d'
const older = '20260101T030405.678Z-0a1b2c3d'
const made = (each: string) =>
  ({ id: each, createdAt: '2026-01-02T03:04:05.678Z', fits: { fingerprint: 'f', architecture: process.arch }, slot: { lineage: 'l', container: 'x' }, totalBytes: 0, files: [], externalFiles: [], process: { rootPid: 2 ** 22 + 1, pids: [process.pid], stdio: [] } }) as unknown as CheckpointManifest // prettier-ignore

function notes(t: Test) {
  const folder = t.testdir({})
  const charged: string[] = []
  const of = (life: string) => new RestoreNote(folder, life, quietLog)
  const settle = (life: string, inOrder = false) =>
    of(life).settle(inOrder, async (each) => void charged.push(each))
  return { of, charged, settle }
}

t.test('what killed the container of an earlier launcher is charged once', async (t) => {
  const { of, charged, settle } = notes(t)
  await of('7@1').begin(id)
  await settle('7@2')
  await settle('7@3')
  t.strictSame(charged, [id])
})

t.test('not where the sidecar alone died, the attempt came to an end, or the container did', async (t) => {
  const { of, charged, settle } = notes(t)
  await settle('7@1')
  await of('7@1').begin(id)
  await settle('7@1')
  await of('7@1').end()
  await settle('7@2')
  await of('7@2').begin(id)
  await settle('7@3', true)
  await settle('7@4')
  t.strictSame(charged, [])
})

t.test('half a note is none', async (t) => {
  const folder = t.testdir({ restoring: `7@1 ${id.slice(0, 9)}` })
  await new RestoreNote(folder, '7@2', quietLog).settle(false, async () => void t.fail('charged'))
})

t.test('what cannot be recorded is remembered in the pod', async (t) => {
  const { of } = notes(t)
  await of('7@1').begin(id)
  t.strictSame(await of('7@1').unrecorded(), [])
  await of('7@2').settle(false, () => Promise.reject(new Error('read-only')))
  t.strictSame(await of('7@3').unrecorded(), [id])
})

t.test('a launcher that ends a little after the attempt ended with it', async (t) => {
  const launcher = await program(t, ['sleep', '100'])
  const life = lifeOf(launcher.pid)
  t.equal(await endedWith(launcher.pid, life), false)
  t.equal(await endedWith(launcher.pid, `${launcher.pid}@1`), true, 'another one has its number')
  const ended = endedWith(launcher.pid, life)
  launcher.kill('SIGKILL')
  t.equal(await ended, true)
})

/** Of a container of its own, in a pod whose store has two checkpoints. */
function keep(t: Test, parts: Partial<Store>, lifeOf?: (pid: number) => string) {
  const name = `killed-${process.pid}`
  const folder = `/reprieve/run/${name}`
  for (const each of [folder, `/reprieve/staging/${name}`])
    t.teardown(() => rmSync(each, { recursive: true, force: true }))
  mkdirSync(folder, { recursive: true })
  const manifests = [made(id), made(older)]
  const store = standInStore({ list: async () => ({ manifests, unreadable: [] }), ...parts })
  const keeper = new ContainerKeeper(surroundings(store), { ...containerPlan, name }, lifeOf)
  const prepare = async (pid: number) => {
    const connection = new Heard()
    keeper.hear(connection, { verb: 'run', container: name, pid, launcher: 'x', at: { state: 'waiting' } })
    await keeper.settled()
    return connection.verbs
  }
  return { keeper, store, prepare, note: `${folder}/restoring` }
}

/** Prepares for one launcher after another, each time after one that was killed in the restore of a checkpoint. */
function killed(t: Test, parts: Partial<Store>) {
  let life = 0
  const fetched: string[] = []
  const fetch: Store['fetch'] = async (manifest) => {
    fetched.push(manifest.id)
    throw new Error('nothing is here')
  }
  const kept = keep(t, { fetch, ...parts }, (pid) => `${pid}@${life}`)
  const firstTried = async (by = id) => {
    writeFileSync(kept.note, `7@${life++} ${by}`)
    fetched.length = 0
    await kept.prepare((await sleeper(t, 'elsewhere')).pid)
    return fetched[0]
  }
  return { ...kept, firstTried }
}

const asRoot = { skip: process.getuid?.() === 0 ? false : 'only root may make /reprieve' }

t.test(
  'a checkpoint whose restore kills the container gives way to the next older one',
  asRoot,
  async (t) => {
    const { keeper, store, firstTried, note } = killed(t, {})
    t.equal(await firstTried(), id, 'it may have been killed from outside')
    t.equal(earlyDeathsOf(store.record, id), 1)
    await t.rejects(readFile(note))
    t.equal(await firstTried(), older)
    t.match(keeper.status.rejected[0], { id, reason: 'died-early', detail: /killed in the restore/ })
  },
)

t.test('at once where that cannot be recorded', asRoot, async (t) => {
  const { keeper, firstTried } = killed(t, { writeRecord: () => Promise.reject(new Error('read-only')) })
  t.equal(await firstTried(), older)
  t.match(keeper.status.rejected[0], { id, reason: 'died-early' })
  t.equal(await firstTried(older), undefined, 'and the application begins anew in the end')
})

t.test('an attempt that fails in order leaves no note', asRoot, async (t) => {
  const { keeper, prepare, note } = keep(t, { fetch: async () => ({ readMs: 0 }) })
  t.equal((await prepare((await sleeper(t, 'elsewhere')).pid)).at(-1), 'start')
  t.match(keeper.status.rejected, [{ reason: 'restore-failed' }, { reason: 'restore-failed' }])
  await t.rejects(readFile(note))
})

for (const isEnding of [false, true])
  t.test(
    `one whose launcher is killed with it ${isEnding ? 'as the pod ends is not charged' : 'is charged at once'}, and nothing is begun for that one`,
    asRoot,
    async (t) => {
      const launcher = await sleeper(t, 'elsewhere')
      const fetch: Store['fetch'] = async () => {
        if (isEnding) keeper.ending(Deadline.in(1_000))
        launcher.kill('SIGKILL')
        return { readMs: 0 }
      }
      const { keeper, store, prepare, note } = keep(t, { fetch })
      t.strictSame(await prepare(launcher.pid), ['wait'])
      t.equal(earlyDeathsOf(store.record, id), isEnding ? 0 : 1)
      await t.rejects(readFile(note))
      t.match(keeper.status.rejected, [{ id }])
    },
  )
