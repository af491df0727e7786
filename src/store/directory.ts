/** A store in a folder: a PVC, an NFS mount, a hostPath. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { instantOfCheckpointId } from '../checkpoint-id.ts'
import { makeFolder } from '../durable-file.ts'
import { ReprieveError, errnoOf } from '../errors.ts'
import type { EventLog } from '../log.ts'
import type { CheckpointManifest, Slot } from '../manifest.ts'
import { doomedCheckpoints } from '../prune-choice.ts'
import { emptySlotRecord } from '../slot-record.ts'
import { makeDraftFolder } from './draft-folder.ts'
import { fetchCheckpoint } from './fetch-checkpoint.ts'
import { newestEpoch } from './epochs.ts'
import { listCheckpoints } from './list-checkpoints.ts'
import { putCheckpoint, type Transfer } from './put-checkpoint.ts'
import { settleAfterAbort } from './settle-after-abort.ts'
import { lockName } from './slot-folder.ts'
import { SlotPlaces } from './slot-places.ts'
import { readSlotRecord, writeSlotRecord } from './slot-record-file.ts'
import { SlotWriters } from './slot-writers.ts'
import { storeFailure } from './store-failure.ts'
import type { Store, UnreadableCheckpoint } from './store.ts'
import { overdueOf } from './slot-survey.ts'
import { sweepStore } from './sweep-store.ts'
import { removeCheckpoints, sweepGates, sweepLeftovers } from './sweep.ts'
import { hangsAfterMs, UnansweredCalls, type Kind } from './unanswered-calls.ts'

export type DirectoryStoreOptions = {
  name: string
  /** Absolute. If it does not exist it is made, for this user alone. */
  path: string
  /** Where a slot is looked for that is not in `path`, to be moved there when it is taken. */
  earlierPath?: string
  log?: EventLog
  /** Default `link-or-copy`. */
  transfer?: Transfer
  /** A partial of a writer on another machine is removed after so long without a change. Default one hour. */
  abandonedAfterMs?: number
  /** How long an aborted operation may clean up before its caller gets the error that it hangs. Default 2 s. */
  abortGraceMs?: number
  /** How long a call that was given up counts as slow; after that it hangs. Default 30 s. */
  hangsMs?: number
}

export function createDirectoryStore(options: DirectoryStoreOptions): Store {
  const {
    name,
    path: root,
    earlierPath,
    log,
    transfer = 'link-or-copy',
    abandonedAfterMs = 3_600_000,
    abortGraceMs = 2000,
    hangsMs = hangsAfterMs,
  } = options
  const unanswered = new UnansweredCalls(name, hangsMs)
  const writers = new SlotWriters()
  const places = new SlotPlaces(root, earlierPath)
  let seen = false
  /** The id of the last checkpoint, by the slot's folder. `prune` keeps it, whatever clock gave it its id. */
  const putLast = new Map<string, string>()

  /** A root that vanishes means a lost mount: whatever is written to its mount point would be lost too. */
  const lookAtRoot = async () => {
    try {
      if ((await stat(root)).isDirectory()) seen = true
      else
        throw new ReprieveError('store-failed', `store "${name}": ${root} is not a folder`, {
          store: name,
          root,
        })
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
      if (seen)
        throw new ReprieveError(
          'store-failed',
          `store "${name}": ${root} has vanished`,
          { store: name, root },
          error,
        )
      await makeFolder(root)
      seen = true
    }
  }

  let looking: Promise<void> | undefined
  /** All operations at one time share one look: on a hung mount only one thread hangs. */
  const openRoot = () => (looking ??= lookAtRoot().finally(() => (looking = undefined)))

  const run = async <T>(
    kind: Kind,
    action: string,
    signal: AbortSignal,
    call: () => Promise<T>,
  ): Promise<T> => {
    const whole = async () => {
      signal.throwIfAborted()
      await openRoot()
      return call()
    }
    try {
      signal.throwIfAborted()
      await unanswered.allow(kind, signal)
      const work = whole()
      return await settleAfterAbort(work, signal, abortGraceMs, () => unanswered.add(action, kind, work))
    } catch (error) {
      if (!signal.aborted || error instanceof ReprieveError) throw storeFailure(name, action, error)
      const data = { store: name, aborted: true }
      throw new ReprieveError('store-failed', `store "${name}": it was aborted to ${action}`, data, error)
    }
  }

  const remove = async (
    slot: Slot,
    signal: AbortSignal,
    choose: (found: Found, folder: string) => string[] | Promise<string[]>,
  ) => {
    const folder = await places.find(slot)
    if (folder === undefined) return { removed: [] }
    const doomed = await choose(await listCheckpoints(folder, slot, signal), folder)
    return writers.write(folder, async (gate) => {
      const removed = await removeCheckpoints(folder, gate, doomed, signal)
      await sweepLeftovers(folder, abandonedAfterMs, signal)
      await sweepGates(folder, abandonedAfterMs, signal)
      return { removed }
    })
  }

  return {
    name,

    list: (slot, signal) =>
      run('read', 'list checkpoints', signal, async () => {
        const folder = await places.find(slot)
        return folder === undefined
          ? { manifests: [], unreadable: [] }
          : listCheckpoints(folder, slot, signal)
      }),

    draftFolder: (slot, id, signal) =>
      run('write', `begin checkpoint ${id}`, signal, async () =>
        writers.write(await places.make(slot), (gate) => makeDraftFolder(gate, id, signal)),
      ),

    put: (draft, sourceDir, signal) =>
      run('write', `store checkpoint ${draft.id}`, signal, async () => {
        const slotFolder = await places.make(draft.slot)
        const put = await writers.write(slotFolder, (gate, { number }) =>
          putCheckpoint({ slotFolder, gate, transfer, log }, { ...draft, epoch: number }, sourceDir, signal),
        )
        putLast.set(slotFolder, draft.id)
        return put
      }),

    fetch: (manifest, targetDir, signal) =>
      run('read', `fetch checkpoint ${manifest.id}`, signal, async () => {
        const began = performance.now()
        const folder = (await places.find(manifest.slot)) ?? root
        await fetchCheckpoint(join(folder, manifest.id), manifest, targetDir, signal)
        return { readMs: performance.now() - began }
      }),

    prune: (slot, keep, signal, { generation, ttlMs = Number.POSITIVE_INFINITY } = {}) =>
      run('removal', 'prune checkpoints', signal, () => {
        if (!Number.isSafeInteger(keep) || keep < 0)
          throw new RangeError(`keep must be a whole number, not ${keep}`)
        return remove(slot, signal, async ({ manifests, unreadable }, folder) => {
          const others = manifests.filter((one) => one.generation?.id !== generation).map(({ id }) => id)
          const overdue = await overdueOf(root, folder, others, ttlMs)
          const broken = unreadable.map(({ id }) => id)
          return doomedCheckpoints(manifests, broken, { keep, generation, putLast: putLast.get(folder), overdue }) // prettier-ignore
        })
      }),

    removeBefore: (slot, instant, signal) =>
      run('removal', `remove checkpoints made before ${instant}`, signal, () => {
        const limit = Date.parse(instant)
        if (Number.isNaN(limit)) throw new RangeError(`${instant} is not an instant`)
        return remove(slot, signal, ({ manifests, unreadable }) =>
          [...manifests, ...unreadable.map(({ id }) => ({ id, createdAt: instantOfCheckpointId(id) ?? '' }))]
            .filter(({ createdAt }) => Date.parse(createdAt) < limit)
            .map(({ id }) => id),
        )
      }),

    lockFile: (slot, signal) =>
      run('write', 'find the lock file', signal, async () => join(await places.make(slot), lockName)),

    readRecord: (slot, signal) =>
      run('read', 'read the slot record', signal, async () => {
        const folder = await places.find(slot)
        return folder === undefined ? emptySlotRecord() : readSlotRecord(folder, log)
      }),

    writeRecord: (slot, record, signal) =>
      run('write', 'write the slot record', signal, async () => {
        const folder = await places.make(slot)
        await writers.write(folder, (gate) => writeSlotRecord(folder, gate, record))
      }),

    sweep: (sweep, signal) => run('removal', 'sweep', signal, () => sweepStore(root, sweep, signal)),

    epochs: {
      take: (slot, holder, signal, after) =>
        run('write', 'take the slot', signal, async () =>
          writers.take(await places.settle(slot), holder, after),
        ),
      locked: (slot, lock, signal) =>
        run('write', 'say what the lock is worth', signal, async () =>
          writers.locked(await places.make(slot), lock),
        ),
      resume: (slot, epoch, holder, signal) =>
        run('write', 'take the slot again', signal, async () =>
          writers.resume(await places.make(slot), epoch, holder),
        ),
      beat: (slot, signal) =>
        run('write', 'say that the writer lives', signal, async () => writers.beat(await places.make(slot))),
      leave: (slot, signal) =>
        run('write', 'leave the slot', signal, async () => {
          const folder = await places.find(slot)
          if (folder !== undefined) await writers.leave(folder)
        }),
      newest: (slot, signal) =>
        run('read', 'see who has the slot', signal, async () => {
          const folder = await places.find(slot)
          return folder === undefined ? undefined : newestEpoch(folder)
        }),
    },
  }
}

type Found = { manifests: CheckpointManifest[]; unreadable: UnreadableCheckpoint[] }
