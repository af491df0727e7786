/** Which files of a checkpoint's archive are not unpacked, because their volumes are in use (sidecar/volumes). Names are bytes in latin1. */
export type SharedNames = {
  /** Mount points of the volumes. Nothing is removed there. */
  volumes: readonly string[]
  /** Those in which nothing is unpacked at all. */
  whole: ReadonlySet<string>
  /** Names that stay as they are. */
  leave: ReadonlySet<string>
  /** Folders that are there, and are not removed again. */
  keep: ReadonlySet<string>
  /** Names that are unpacked. */
  back: ReadonlySet<string>
}

const none: ReadonlySet<string> = new Set()
export const nothingShared: SharedNames = { volumes: [], whole: none, leave: none, keep: none, back: none }
