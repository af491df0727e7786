/** The store's instants are in order whatever the clocks of its nodes say. */
import t from 'tap'
import { Deadline } from '../../../src/deadline.ts'
import { makeCheckpointId } from '../../../src/checkpoint-id.ts'
import type { CheckpointManifest } from '../../../src/manifest.ts'
import type { Store } from '../../../src/store/store.ts'
import { takeCheckpoint } from '../../../sidecar/checkpoint/checkpoint.ts'
import { instantInSlot } from '../../../sidecar/lineage/slot-instant.ts'
import { SlotMemory } from '../../../sidecar/lineage/slot-memory.ts'
import { sampleDraft } from '../../store/samples.ts'
import { quietLog } from '../quiet-log.ts'
import { containerPlan, lockIn, standInStore, surroundings } from '../stand-ins.ts'

const slot = { lineage: 'l', container: 'app' }
const nowMs = Date.parse('2026-06-01T12:00:00.000Z')
const at = (ms: number) => new Date(ms).toISOString()

const manifestAt = (ms: number, createdMs = ms): CheckpointManifest => ({
  ...sampleDraft({ id: makeCheckpointId(new Date(ms)), createdAt: at(createdMs) }),
  version: 1,
  files: [],
  totalBytes: 0,
})
const listing = (...manifests: CheckpointManifest[]): Partial<Store> => ({
  list: async () => ({ manifests, unreadable: [] }),
})
const instantOf = async (parts: Partial<Store>) =>
  (await instantInSlot(standInStore(parts), slot, quietLog, () => nowMs)).getTime()

t.test('it is now where nothing in the slot is later', async (t) => {
  t.equal(await instantOf({}), nowMs)
  t.equal(await instantOf(listing(manifestAt(nowMs - 5))), nowMs)
})

t.test('and else a millisecond after the latest of all that the slot holds', async (t) => {
  const hour = nowMs + 3_600_000
  t.equal(await instantOf(listing(manifestAt(hour), manifestAt(nowMs))), hour + 1)
  t.equal(await instantOf(listing(manifestAt(nowMs))), nowMs + 1)
  t.equal(await instantOf(listing(manifestAt(nowMs, hour))), hour + 1, 'when its files were whole')
  const unreadable = [{ id: makeCheckpointId(new Date(hour)), reason: 'of another release' }]
  t.equal(await instantOf({ list: async () => ({ manifests: [], unreadable }) }), hour + 1)
  t.equal(
    await instantOf({ readRecord: async () => ({ version: 1, trials: {}, finishedAt: at(hour) }) }),
    hour + 1,
    'work that begins after finished work is not finished',
  )
})

t.test('an instant past all that an id can hold is not followed', async (t) => {
  t.equal(await instantOf(listing(manifestAt(Date.parse('9999-12-31T23:59:59.999Z')))), nowMs)
})

// As a store does, whatever its folder does: it rejects once its signal has been aborted.
const hung: Store['list'] = (_, signal) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))

t.test('a store that fails, or that hangs, leaves the clock of the node', async (t) => {
  t.equal(await instantOf({ list: () => Promise.reject(new Error('no store')) }), nowMs)
  // The signal's timer does not keep Node alive by itself, and here nothing else does.
  const alive = setInterval(() => undefined, 1_000)
  t.teardown(() => clearInterval(alive))
  t.equal(await instantOf({ list: hung }), nowMs)
})

t.test('a checkpoint by a clock that is behind is named after those in the slot', async (t) => {
  const ahead = Date.now() + 3_600_000
  const asked: string[] = []
  const store = standInStore({
    ...listing(manifestAt(ahead)),
    draftFolder: (_, id) => {
      asked.push(id)
      return Promise.reject(new Error('this is where the test ends'))
    },
  })
  const target = { plan: containerPlan, launcherPid: process.pid, launcher: 'l', root: process.pid }
  const request = {
    trigger: 'manual',
    reason: '',
    afterwards: 'resume',
    deadline: Deadline.in(5_000),
  } as const
  const hooks = { stopped: async () => undefined, resuming: () => undefined, storing: () => undefined, breakOff: new AbortController().signal } // prettier-ignore
  await t.rejects(takeCheckpoint(surroundings(store), target, request, hooks), /where the test ends/)
  t.match(asked, [new RegExp(`^${makeCheckpointId(new Date(ahead + 1)).slice(0, 20)}`)])
})

t.test('finished work ends after the newest of its checkpoints', async (t) => {
  const removed: string[] = []
  const store = standInStore({
    ...listing(manifestAt(nowMs + 3_600_000)),
    removeBefore: async (_, instant) => {
      removed.push(instant)
      return { removed: [] }
    },
  })
  const lock = lockIn(store)
  await new SlotMemory(store, slot, lock, quietLog).finished(() => nowMs)
  t.equal(store.record.finishedAt, at(nowMs + 3_600_001))
  t.strictSame(removed, [at(nowMs + 3_600_001)])
})
