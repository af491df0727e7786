/**
 * A checkpoint's manifest: what it is of, what it fits, and the SHA-256 of every file. It is written last, so a
 * checkpoint without a manifest does not exist.
 */
import type { Life } from './generation.ts'
import type { Work } from './work.ts'

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

/** A file on a volume that outlives the pod, open or mapped at the dump. Manifests of earlier releases lack `held`. */
export type ExternalFile = { path: string; sizeBytes: number; held?: HeldFile }

/** What tells later whether the file is still the one that the application held, and whether the bytes behind its end are its own. */
export type HeldFile = {
  /** Decimal; with `bornNs` it tells the file from another one of its name. */
  inode: string
  /** Nanoseconds since the epoch, decimal; `0` where the file system does not tell. */
  bornNs: string
  modifiedNs: string
  /** Its folder's inode and birth, `INODE BIRTH`: where a log was rotated a new one lies in the same folder. */
  folder: string
  /** SHA-256 of its beginning and its end (sidecar/files/file-print.ts). Missing where it could not be read, or was one of too many. */
  sample?: string
  /** `append`: every descriptor that may write to it was opened with O_APPEND. */
  use: 'read' | 'append' | 'write'
  /** Only one open file description of the pod may write to it, only at its end, and stood there. */
  alone: boolean
  mapped: boolean
  /** Locked, or one of a database's files. */
  guarded: boolean
}

export type Timings = {
  /** From the instant all tasks stood still to the instant they went on or were killed. */
  frozenMs: number
  dumpMs: number
  archiveMs: number
}

/** Everything about a checkpoint but its files: known when the dump is done, before it is stored. Manifests of the releases before 0.3 have no life. */
export type CheckpointDraft = {
  /** Sorts by time: `<UTC yyyymmddThhmmss.mmmZ>-<8 hex digits>`. */
  id: string
  slot: Slot
  /** The epoch of its writer in the slot (src/store/epochs.ts); the store sets it. Manifests of 0.2 and earlier lack it. */
  epoch?: number
  createdAt: string
  trigger: string
  reason: string
  pod: { name: string; uid: string; node: string }
  /** The environment that a restore needs. */
  fits: Work & { architecture: string; launcher: string }
  /** For people and for diagnosis; never compared. */
  made: { kernel: string; criu: string; reprieve: string }
  process: {
    rootPid: number
    pids: number[]
    stdio: StdioPipe[]
    /** How many of the oldest seccomp filters of each process are those that the runtime has put on the container. Manifests of 0.2 and earlier lack it. */
    filters?: number
  }
  externalFiles: ExternalFile[]
  /** The same of the pod's own volumes that other containers mount. Absent for none, and in manifests of 0.3 and earlier. */
  sharedFiles?: ExternalFile[]
  timings: Timings
} & Partial<Life>

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
  /**
   * Set when the application began from its beginning because its work was another: no checkpoint made before this instant is restored
   * unless a pod asks for it by its id.
   */
  left?: { at: string; changed: string; newest: string }
  /** Early deaths by checkpoint id, until an application restored from it has proved itself alive. */
  trials: Record<string, { earlyDeaths: number; lastReason: string }>
  /** The memory limit that the application would have grown past its own; recorded by the pod with this uid. */
  needs?: { memoryBytes: number; podUid: string }
}
