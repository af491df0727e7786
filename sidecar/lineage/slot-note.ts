/** What the holder of a slot says of itself in the lock's file, for people and for who waits. */

export type Note = {
  pod: string
  uid: string
  node: string
  /** By the holder's clock. For waiters of a release that knows of nothing else. */
  leavesBy?: number
  /** How long it still needed when it wrote this. */
  leavesInMs?: number
}

/** The bytes may come from anyone. */
export function parseNote(text: string): Note | undefined {
  let note: unknown
  try {
    note = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof note !== 'object' || note === null || !('pod' in note) || typeof note.pod !== 'string')
    return undefined
  const leavesBy = 'leavesBy' in note && typeof note.leavesBy === 'number' ? note.leavesBy : undefined
  const leavesInMs = 'leavesInMs' in note && typeof note.leavesInMs === 'number' ? note.leavesInMs : undefined
  return {
    pod: note.pod,
    uid: 'uid' in note && typeof note.uid === 'string' ? note.uid : '',
    node: '',
    ...(leavesBy === undefined ? {} : { leavesBy }),
    ...(leavesInMs === undefined ? {} : { leavesInMs }),
  }
}

/**
 * When the holder has left, by the clock of who waits: counted from when the note was first read, since the clocks of two nodes differ.
 * Too late by as long as the note had lain there, which costs nothing: the lock is free the moment its holder is gone.
 */
export class AnnouncedEnd {
  #read: { words: string; atMs: number } | undefined

  /** 0 where nothing is announced. */
  by(note: Note | undefined, nowMs: number): number {
    if (note?.leavesInMs === undefined) return note?.leavesBy ?? 0
    const words = JSON.stringify(note)
    if (this.#read?.words !== words) this.#read = { words, atMs: nowMs }
    return this.#read.atMs + note.leavesInMs
  }
}
