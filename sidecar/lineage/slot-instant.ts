/**
 * Instants that order the events of a slot. Its pods run on nodes whose clocks differ. By a clock that is behind, a new checkpoint would
 * sort below older ones (and be pruned, or passed over at a restore), and the end of the work would not cover the last checkpoints.
 */
import { instantOfCheckpointId } from '../../src/checkpoint-id.ts'
import type { EventLog } from '../../src/log.ts'
import type { Slot } from '../../src/manifest.ts'
import type { Store } from '../../src/store/store.ts'

/** For a listing and one more small file. */
const deadlineMs = 2_000
/** The last instant that the id of a checkpoint can express. */
const lastMs = Date.parse('9999-12-31T23:59:59.999Z')

/** Now, but at least one millisecond after the latest instant in the slot. Never rejects. */
export async function instantInSlot(store: Store, slot: Slot, log: EventLog, now = Date.now): Promise<Date> {
  const latestMs = await latestOf(store, slot).catch((error: unknown) => {
    log.warn(
      { event: 'slot.not_listed', err: error },
      'what the slot holds could not be listed: the clock of this node is taken as it is',
    )
    return undefined
  })
  const nowMs = now()
  if (latestMs === undefined || latestMs < nowMs || latestMs >= lastMs) return new Date(nowMs)
  log.warn(
    { event: 'clock.behind', behindMs: latestMs - nowMs },
    'the clock of this node is behind what the slot holds',
  )
  return new Date(latestMs + 1)
}

async function latestOf(store: Store, slot: Slot): Promise<number> {
  const signal = AbortSignal.timeout(deadlineMs)
  const [{ manifests, unreadable }, { finishedAt, left }] = await Promise.all([
    store.list(slot, signal),
    store.readRecord(slot, signal),
  ])
  // An unreadable checkpoint may belong to another release, which relies on the order as well.
  const instants = [
    ...[...manifests, ...unreadable].map(({ id }) => instantOfCheckpointId(id)),
    ...manifests.map(({ createdAt }) => createdAt),
    finishedAt,
    left?.at,
  ]
  return instants.reduce(
    (latest, instant) => Math.max(latest, instant === undefined ? 0 : Date.parse(instant)),
    0,
  )
}
