/** The note of the pod that has the slot lock, in the lock's file, for people and for waiting pods. */
import { constants } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { errnoOf } from '../../src/errors.ts'
import { isRecord, problemsOf } from '../../src/shape.ts'
import { workPartsShape, type OwnWork, type Work } from '../../src/work.ts'
import type { Identity } from '../setup/surroundings.ts'

export type Note = {
  pod: string
  uid: string
  node: string
  /** By the clock of the pod that wrote the note. For waiting pods of a release that reads nothing else. */
  leavesBy?: number
  /** How long the pod still needed when it wrote the note. */
  leavesInMs?: number
  /** What the pod does in the slot. Notes of the releases before 0.3 lack it. */
  work?: Work
}

export function noteOf(
  { name, uid, node }: Identity,
  own: OwnWork | undefined,
  more: Pick<Note, 'leavesBy' | 'leavesInMs'>,
): Note {
  const { earlierFingerprint: _, ...work } = own ?? { fingerprint: '' }
  return { pod: name, uid, node, ...more, ...(own === undefined ? {} : { work }) }
}

/** @throws Error where that fails, or an earlier call still hangs */
export async function writeNote(file: string, note: Note, deadlineMs: number): Promise<void> {
  const text = `${JSON.stringify(note)}\n`
  const { O_WRONLY, O_TRUNC } = constants
  // The lock's file is there, or there is no lock: see launcher/lock/lock.c.
  const write = () =>
    writeFile(file, text, { flag: O_WRONLY | O_TRUNC }).catch((error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error
      return writeFile(file, text)
    })
  await within(file, write, deadlineMs)
}

/** Undefined where there is no note, or an earlier call still hangs. */
export async function readNote(file: string, deadlineMs: number): Promise<Note | undefined> {
  return within(file, () => readFile(file, 'utf8'), deadlineMs).then(parseNote, () => undefined)
}

const hanging = new Set<string>()

/**
 * A signal does not end a call that hangs in the file system: to open a file may take as long as the lease of an NFS server. Each such call
 * keeps one of libuv's few threads, so there is one at most.
 */
async function within<T>(file: string, call: () => Promise<T>, deadlineMs: number): Promise<T> {
  if (hanging.has(file)) throw new Error(`${file} does not answer`)
  const { promise, reject } = Promise.withResolvers<never>()
  const work = call()
  const timer = setTimeout(() => {
    hanging.add(file)
    const answered = () => hanging.delete(file)
    work.then(answered, answered)
    reject(new Error(`${file} did not answer within ${deadlineMs} ms`))
  }, deadlineMs)
  return Promise.race([work, promise]).finally(() => clearTimeout(timer))
}

/** The bytes are untrusted. */
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
    ...('work' in note ? workIn(note.work) : {}),
  }
}

function workIn(value: unknown): { work?: Work } {
  if (!isRecord(value) || typeof value.fingerprint !== 'string') return {}
  const { fingerprint, incarnation, parts } = value
  if (parts !== undefined && problemsOf(workPartsShape, parts).length > 0) return {}
  return {
    work: {
      fingerprint,
      ...(typeof incarnation === 'string' ? { incarnation } : {}),
      ...(parts === undefined ? {} : { parts: parts as NonNullable<Work['parts']> }),
    },
  }
}

/**
 * When the pod that has the lock will have ended, by the clock of the waiting pod, which no correction of the time moves: counted from the first reading of the note, since the
 * clocks of two nodes differ. A note that was written earlier makes this too late, which costs nothing: the lock is free at once.
 */
export class AnnouncedEnd {
  #read: { words: string; atMs: number } | undefined

  /** 0 where no end is announced. @param epochMs for a note that names an instant */
  by(note: Note | undefined, nowMs: number, epochMs = Date.now()): number {
    if (note?.leavesInMs === undefined)
      return note?.leavesBy === undefined ? 0 : nowMs + note.leavesBy - epochMs
    const words = JSON.stringify(note)
    if (this.#read?.words !== words) this.#read = { words, atMs: nowMs }
    return this.#read.atMs + note.leavesInMs
  }
}
