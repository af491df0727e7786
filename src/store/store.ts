import type { CheckpointDraft, CheckpointManifest, Slot, SlotRecord } from '../manifest.ts'

/**
 * A place for checkpoints. Implementations keep these promises, whatever kills the writer:
 * a checkpoint is listed only when every byte of it is durable; a listed one stays until `remove` or `prune`;
 * what `fetch` returns from has been compared, byte for byte, with the manifest.
 */
export interface Store {
  readonly name: string
  /**
   * Complete checkpoints, newest first. A checkpoint whose manifest cannot be read is not listed but counted.
   * @throws ReprieveError `store-failed`
   */
  list(
    slot: Slot,
    signal: AbortSignal,
  ): Promise<{ manifests: CheckpointManifest[]; unreadable: UnreadableCheckpoint[] }>
  /**
   * A new folder for the files of a checkpoint that `put` will be given, where the store can take them over without a copy;
   * undefined where a folder on a local disk serves better. The caller removes it; `prune` removes that of a caller who died.
   * @throws ReprieveError `store-failed`
   */
  draftFolder(slot: Slot, id: string, signal: AbortSignal): Promise<string | undefined>
  /**
   * Stores every file under `sourceDir` (a flat tree of regular files) as checkpoint `draft.id`. The store may go on
   * sharing these files with the source (a second name for each): they can be removed afterwards, not written to.
   * When this resolves the checkpoint is durable; when it rejects nothing of it is listed.
   * @throws ReprieveError `store-failed`
   */
  put(draft: CheckpointDraft, sourceDir: string, signal: AbortSignal): Promise<PutResult>
  /**
   * Brings the checkpoint's files to `targetDir` (made if missing), each verified on the way. In a draft folder they may be the
   * store's own files under a second name: to be read and removed, never written to.
   * @throws ReprieveError `checkpoint-corrupt` naming the file, or `store-failed`
   */
  fetch(manifest: CheckpointManifest, targetDir: string, signal: AbortSignal): Promise<{ readMs: number }>
  /**
   * Removes all but the newest `keep` checkpoints of the slot, and what writers that died left behind. What was put last counts as the
   * newest, whatever its id says.
   */
  prune(slot: Slot, keep: number, signal: AbortSignal): Promise<{ removed: string[] }>
  /** Removes every checkpoint of the slot made before the instant (ISO 8601). */
  removeBefore(slot: Slot, instant: string, signal: AbortSignal): Promise<{ removed: string[] }>
  /**
   * A file, made with its folder if missing, whose flock(2) whoever writes the slot holds (sidecar/lineage/slot-lock.ts).
   * @throws ReprieveError `store-failed`
   */
  lockFile(slot: Slot, signal: AbortSignal): Promise<string>
  readRecord(slot: Slot, signal: AbortSignal): Promise<SlotRecord>
  /** Replaces the record atomically. */
  writeRecord(slot: Slot, record: SlotRecord, signal: AbortSignal): Promise<void>
}

export type UnreadableCheckpoint = { id: string; reason: string }
export type PutResult = { manifest: CheckpointManifest; hashMs: number; writeMs: number; syncMs: number }
