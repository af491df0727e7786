/**
 * The slot lock. Two pods never run from one checkpoint, nor write one slot: a pod first takes a lock (flock(2)) on a file in the store.
 * The kernel or the file server releases it as soon as the pod dies. A replacement often starts while the pod it replaces still takes
 * its last checkpoint (Deployments, and Jobs by default, do not wait for the old pod to end): it waits its turn.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import type { Deadline } from '../../src/deadline.ts'
import { describeError, ReprieveError } from '../../src/errors.ts'
import type { EventLog } from '../../src/log.ts'
import type { Outcome } from '../../src/outcome.ts'
import { volumePaths } from '../../src/volume.ts'
import { differencesOf, type OwnWork } from '../../src/work.ts'
import { AnnouncedEnd, parseNote, type Note } from './slot-note.ts'
import type { Identity } from '../setup/surroundings.ts'

export type LockOutcome = Outcome<{
  taken: object
  /**
   * Another pod seems to have the lock; `isNamed`: it has, and the note in the file names it. `otherWork`: what it does is other work, which
   * differs in this.
   */
  busy: { holder: string; isNamed: boolean; otherWork?: string[] }
  /** The store cannot lock: no other pod is kept out. */
  unfenced: { why: string }
}>

const busy = { outcome: 'busy', holder: 'another pod', isNamed: false } as const
const unanswered = { ...busy, holder: 'unknown: the store did not answer' } as const

/**
 * How long a pod waits for another one that has not announced its end. The kubelet runs the preStop hook of a deleted pod, which announces
 * the end, within a second or two. After this time the other pod is a running replica of the same lineage.
 */
// @deadline Another pod of the lineage is alive | The application starts without protection
const waitForRunningMs = 15_000
/**
 * And where it most likely is one: the pods of a ReplicaSet share a lineage. Long enough for the announcement of a pod that was deleted, since its
 * replacement is first created, scheduled and mounted.
 */
// @deadline Another replica of the Deployment is alive | The application starts without protection
const waitForReplicaMs = 3_000
/** A pod that ends gets its announced time and this much more. */
// @deadline Another pod of the lineage is being ended | Unprotected start, this long after the end it announced
const leaveGraceMs = 5_000
/** For reading or writing a note of a hundred bytes. */
const noteDeadlineMs = 5_000

/** How long a pod of the lineage waits for another one that has not announced its end. */
export function patienceMsOf(lineage: string): number {
  const [, kind = '', ...names] = lineage.split('/')
  const isOfReplicas = /^(?:Deployment|ReplicaSet)$/.test(kind) && names.length === 1
  return isOfReplicas ? waitForReplicaMs : waitForRunningMs
}

export class SlotLock {
  readonly #lockFile: () => Promise<string>
  readonly #identity: Identity
  readonly #log: EventLog
  readonly #work: OwnWork | undefined
  #process: ChildProcess | undefined

  constructor(lockFile: () => Promise<string>, identity: Identity, log: EventLog, work?: OwnWork) {
    this.#lockFile = lockFile
    this.#identity = identity
    this.#log = log
    this.#work = work
  }

  get isTaken(): boolean {
    return this.#process !== undefined
  }

  /** Takes the lock, or names the pod that has it; `waitMs` 0 does not wait. Never rejects. */
  async take(waitMs: number, signal: AbortSignal): Promise<LockOutcome> {
    if (this.isTaken) return { outcome: 'taken' }
    try {
      const file = await this.#lockFile()
      const outcome = await this.#lock(file, waitMs, signal)
      if (outcome.outcome === 'taken') await this.#note({})
      if (outcome !== busy) return outcome
      const note = await readNote(file)
      // A note of this pod itself is old: the pod that has the lock has not written its own yet.
      const isNamed = note !== undefined && note.uid !== this.#identity.uid
      if (!isNamed) return busy
      const { work = this.#work } = note
      const otherWork = work === undefined || this.#work === undefined ? [] : differencesOf(work, this.#work)
      return { ...busy, holder: note.pod, isNamed, ...(otherWork.length === 0 ? {} : { otherWork }) }
    } catch (error) {
      // If the store does not answer, another pod may write there. If it refuses (read-only, for example), no pod can.
      if (error instanceof ReprieveError && error.data.aborted === true) return unanswered
      return { outcome: 'unfenced', why: describeError(error) }
    }
  }

  /**
   * Waits its turn: for a pod that announces its end until then, for any other pod only `patienceMs`. A pod that does other work, as the
   * old one in a rolling update, leaves nothing to wait for.
   * @param evenForOtherWork a checkpoint is to be restored whatever the work
   */
  async await(
    signal: AbortSignal,
    evenForOtherWork = false,
    patienceMs = waitForRunningMs,
  ): Promise<LockOutcome> {
    const announced = new AnnouncedEnd()
    let until = Date.now() + patienceMs
    for (;;) {
      const outcome = await this.take(Math.min(1_000, Math.max(0, until - Date.now())), signal)
      if (outcome.outcome !== 'busy') return outcome
      if (outcome.otherWork !== undefined && !evenForOtherWork) return outcome
      const file = await this.#lockFile().catch(() => undefined)
      const note = file === undefined ? undefined : await readNote(file)
      until = Math.max(until, announced.by(note, Date.now()) + leaveGraceMs)
      if (Date.now() >= until || signal.aborted) return outcome
    }
  }

  /** Announces to waiting pods that this pod ends, and by when. */
  async leaving(deadline: Deadline): Promise<void> {
    const { outcome } = await this.take(0, AbortSignal.timeout(noteDeadlineMs))
    if (outcome === 'taken') await this.#note({ leavesBy: deadline.epochMs, leavesInMs: deadline.leftMs })
  }

  release(): void {
    this.#process?.stdin?.destroy()
    this.#process = undefined
  }

  #lock(file: string, waitMs: number, signal: AbortSignal): Promise<LockOutcome> {
    return new Promise((resolve) => {
      const child = spawn(volumePaths.launcher, ['lock', String(waitMs), file], {
        stdio: ['pipe', 'pipe', 'pipe'],
      })
      let said = ''
      const finish = (outcome: LockOutcome) => {
        clearTimeout(timer)
        signal.removeEventListener('abort', giveUp)
        if (outcome.outcome === 'taken') this.#process = child
        else child.stdin.destroy()
        resolve(outcome)
      }
      const giveUp = () => {
        child.kill('SIGKILL')
        finish(unanswered)
      }
      // On a hung file server open(2) hangs as well.
      const timer = setTimeout(giveUp, waitMs + noteDeadlineMs)
      signal.addEventListener('abort', giveUp)
      child.stdin.on('error', () => undefined)
      child.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString('latin1')
        if (said === 'held\n') finish({ outcome: 'taken' })
        if (said === 'busy\n') finish(busy)
      })
      child.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString('utf8')
      })
      child.on('error', (error) => finish({ outcome: 'unfenced', why: error.message }))
      child.on('close', () => {
        if (this.#process === child) this.#lost()
        finish({ outcome: 'unfenced', why: said.trim() })
      })
    })
  }

  /** The process that had the lock ended: the sidecar takes the lock again before it writes the next checkpoint. */
  #lost(): void {
    this.#process = undefined
    this.#log.warn({ event: 'slot_lock.lost' }, 'the claim on the lineage was lost')
  }

  /** For people and for waiting pods; the lock itself is the kernel's. */
  async #note(more: Pick<Note, 'leavesBy' | 'leavesInMs'>): Promise<void> {
    const { name, uid, node } = this.#identity
    const { earlierFingerprint: _, ...work } = this.#work ?? { fingerprint: '' }
    const note: Note = { pod: name, uid, node, ...more, ...(this.#work === undefined ? {} : { work }) }
    try {
      await writeFile(await this.#lockFile(), `${JSON.stringify(note)}\n`, {
        signal: AbortSignal.timeout(noteDeadlineMs),
      })
    } catch (error) {
      this.#log.warn(
        { event: 'slot_lock.not_signed', err: error },
        'the claim on the lineage could not be signed',
      )
    }
  }
}

async function readNote(file: string): Promise<Note | undefined> {
  return readFile(file, { encoding: 'utf8', signal: AbortSignal.timeout(noteDeadlineMs) }).then(
    parseNote,
    () => undefined,
  )
}
