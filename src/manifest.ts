/**
 * A checkpoint's manifest: what it is of, what it fits, and the SHA-256 of every file. It is written last, so a
 * checkpoint without a manifest does not exist.
 */
export const manifestVersion = 1

/** A slot in a store: one protected container of one lineage. */
export type Slot = { lineage: string; container: string }

export type StoredFile = {
  /** Relative to the checkpoint's folder, `/`-separated, no `..`, e.g. `criu/pages-1.img`. */
  path: string
  sizeBytes: number
  /** Hex, lower case. */
  sha256: string
}

/** A pipe that joins the application to the outside (its stdin, stdout or stderr) as it was at the dump. */
export type StdioPipe = { fd: 0 | 1 | 2; inode: string }

/** A file on a volume that outlives the pod, open for writing at the dump. */
export type ExternalFile = { path: string; sizeBytes: number }

export type Timings = {
  /** From the instant all tasks stood still to the instant they went on or were killed. */
  frozenMs: number
  dumpMs: number
  archiveMs: number
}

/** Everything about a checkpoint but its files: known when the dump is done, before it is stored. */
export type CheckpointDraft = {
  /** Sorts by time: `<UTC yyyymmddThhmmss.mmmZ>-<8 hex digits>`. */
  id: string
  slot: Slot
  createdAt: string
  trigger: string
  reason: string
  pod: { name: string; uid: string; node: string }
  /** The environment that a restore needs. */
  fits: { fingerprint: string; architecture: string; launcher: string }
  /** For people and for diagnosis; never compared. */
  made: { kernel: string; criu: string; reprieve: string }
  process: { rootPid: number; pids: number[]; stdio: StdioPipe[] }
  externalFiles: ExternalFile[]
  timings: Timings
}

export type CheckpointManifest = CheckpointDraft & {
  version: typeof manifestVersion
  files: StoredFile[]
  totalBytes: number
}

/** The memory of a slot beside its checkpoints, so that a checkpoint that kills is not tried for ever. */
export type SlotRecord = {
  version: 1
  /** Set when the application ended with status 0: checkpoints made before this instant are never restored. */
  finishedAt?: string
  /** Early deaths by checkpoint id, until an application restored from it has proved itself alive. */
  trials: Record<string, { earlyDeaths: number; lastReason: string }>
  /** The memory limit that the application would have grown past its own; recorded by the pod with this uid. */
  needs?: { memoryBytes: number; podUid: string }
}
