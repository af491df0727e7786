import type { CheckpointDraft, CheckpointManifest, Slot, SlotRecord } from '../manifest.ts'
import type { Epoch, EpochState, Holder } from './epochs.ts'
import type { SweepOptions, Swept } from './sweep-store.ts'

/**
 * A place for checkpoints. An implementation keeps these promises, whatever kills the writer: a checkpoint is listed only when every byte
 * of it is durable; a listed checkpoint stays until `removeBefore` or `prune`; when `fetch` resolves, every byte has been compared with
 * the manifest. What a writer begins after another one took the next epoch changes nothing: the call rejects with `lineage-fenced`.
 */
export interface Store {
  readonly name: string
  readonly epochs: Epochs
  /**
   * The complete checkpoints, newest first, and apart from them those whose manifest cannot be read.
   * @throws ReprieveError `store-failed`
   */
  list(
    slot: Slot,
    signal: AbortSignal,
  ): Promise<{ manifests: CheckpointManifest[]; unreadable: UnreadableCheckpoint[] }>
  /**
   * A new folder for the files of a checkpoint that `put` will be given, where the store can take them over without a copy;
   * undefined where a folder on a local disk is faster. The caller removes it; `prune` removes the folder of a dead caller.
   * @throws ReprieveError `store-failed`
   */
  draftFolder(slot: Slot, id: string, signal: AbortSignal): Promise<string | undefined>
  /**
   * Stores every file under `sourceDir` (a flat tree of regular files) as checkpoint `draft.id`. The store may
   * share these files with the source (a second name for each): they may be removed afterwards, but not written to.
   * When this resolves the checkpoint is durable; when it rejects nothing of it is listed.
   * @throws ReprieveError `store-failed`
   */
  put(draft: CheckpointDraft, sourceDir: string, signal: AbortSignal): Promise<PutResult>
  /**
   * Brings the files of the checkpoint to `targetDir` (made if missing) and verifies each. In a draft folder they may be the store's own
   * files under a second name: they may be read and removed, but not written to.
   * @throws ReprieveError `checkpoint-corrupt` naming the file, or `store-failed`
   */
  fetch(manifest: CheckpointManifest, targetDir: string, signal: AbortSignal): Promise<{ readMs: number }>
  /**
   * Removes what gives way to younger checkpoints (src/prune-choice.ts), and the partials of dead writers. Of the writer's generation the
   * newest `keep` stay. The last checkpoint that was put counts as the newest, whatever its id.
   * @param own the generation of the writer, undefined for checkpoints that know none; and how long others live, undefined for ever
   */
  prune(slot: Slot, keep: number, signal: AbortSignal, own?: OwnGeneration): Promise<{ removed: string[] }>
  /** Removes every checkpoint of the slot made before the instant (ISO 8601). */
  removeBefore(slot: Slot, instant: string, signal: AbortSignal): Promise<{ removed: string[] }>
  /**
   * The file of the slot lock (sidecar/lineage/slot-lock.ts), made with its folder if missing.
   * @throws ReprieveError `store-failed`
   */
  lockFile(slot: Slot, signal: AbortSignal): Promise<string>
  /** Removes the slots that nobody will come back for. @throws ReprieveError `store-failed` */
  sweep(options: SweepOptions, signal: AbortSignal): Promise<Swept[]>
  readRecord(slot: Slot, signal: AbortSignal): Promise<SlotRecord>
  /** Replaces the record atomically. */
  writeRecord(slot: Slot, record: SlotRecord, signal: AbortSignal): Promise<void>
}

/** Whose turn it is to write to a slot (epochs.ts). */
export interface Epochs {
  /**
   * Takes the next epoch for this process and ends all earlier ones. @param after only the epoch that follows this one
   * @throws ReprieveError `lineage-fenced` if another writer was quicker
   */
  take(slot: Slot, holder: Holder, signal: AbortSignal, after?: number): Promise<Epoch>
  /** Says whom the slot lock of this process keeps out. */
  locked(slot: Slot, lock: Holder['lock'], signal: AbortSignal): Promise<void>
  /** Continues the epoch of an earlier process of the same pod. @returns undefined where another writer has the slot */
  resume(slot: Slot, epoch: Epoch, holder: Holder, signal: AbortSignal): Promise<Epoch | undefined>
  /** Says that the writer lives. @returns its epoch, a new one if a sweep removed the slot. @throws ReprieveError `lineage-fenced` */
  beat(slot: Slot, signal: AbortSignal): Promise<Epoch>
  /** Ends the epoch of this process: the next writer need not wait. */
  leave(slot: Slot, signal: AbortSignal): Promise<void>
  newest(slot: Slot, signal: AbortSignal): Promise<EpochState | undefined>
}

export type OwnGeneration = { generation?: string; ttlMs?: number }
export type UnreadableCheckpoint = { id: string; reason: string }
export type PutResult = { manifest: CheckpointManifest; hashMs: number; writeMs: number; syncMs: number }
