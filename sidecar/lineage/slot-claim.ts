/**
 * Two pods never run one checkpoint, nor write one slot: whoever does holds a lock (flock(2)) on a file in the store. The kernel
 * or the file server gives it back the moment its holder dies. A replacement often starts while the pod it replaces is
 * still being checkpointed (Deployments, and Jobs by default, do not wait for the old pod to end): it waits its turn.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import type { Deadline } from '../../src/deadline.ts'
import { describeError, ReprieveError } from '../../src/errors.ts'
import type { Log } from '../../src/log.ts'
import { volumePaths } from '../../src/volume.ts'
import { AnnouncedEnd, parseNote, type Note } from './slot-note.ts'
import type { Identity } from '../setup/surroundings.ts'

export type ClaimOutcome =
  | { outcome: 'held' }
  /** Another pod has it, as far as anyone can tell; `isNamed`: it does, and has signed. */
  | { outcome: 'busy'; holder: string; isNamed: boolean }
  /** The store cannot lock: nobody is kept out, as nobody can be. */
  | { outcome: 'unfenced'; why: string }

const taken = { outcome: 'busy', holder: 'another pod', isNamed: false } as const
const unanswered = { ...taken, holder: 'unknown: the store did not answer' } as const

/**
 * How long a pod waits for one that was not told to end: as long as it takes a deleted pod's preStop to say so (the kubelet
 * runs it within a second or two of the deletion). After that the other one is alive and well, a replica of the same lineage.
 */
// @deadline Another pod of the lineage is alive | The application starts without protection
const waitForRunningMs = 15_000
/** A pod that leaves gets its announced time and this much more to end. */
// @deadline Another pod of the lineage is being ended | Unprotected start, this long after the end it announced
const leaveGraceMs = 5_000
/** Reading and writing a note of a hundred bytes. */
const noteDeadlineMs = 5_000

export class SlotClaim {
  readonly #lockFile: () => Promise<string>
  readonly #identity: Identity
  readonly #log: Log
  #keeper: ChildProcess | undefined

  constructor(lockFile: () => Promise<string>, identity: Identity, log: Log) {
    this.#lockFile = lockFile
    this.#identity = identity
    this.#log = log
  }

  get held(): boolean {
    return this.#keeper !== undefined
  }

  /** Takes the slot, or says who has it; `waitMs` 0 only looks. Never rejects. */
  async take(waitMs: number, signal: AbortSignal): Promise<ClaimOutcome> {
    if (this.held) return { outcome: 'held' }
    try {
      const file = await this.#lockFile()
      const outcome = await this.#lock(file, waitMs, signal)
      if (outcome.outcome === 'held') await this.#note({})
      if (outcome !== taken) return outcome
      const note = await readNote(file)
      // Not yet signed by who has it where it is the note that this pod left.
      const isNamed = note !== undefined && note.uid !== this.#identity.uid
      return isNamed ? { ...taken, holder: note.pod, isNamed } : taken
    } catch (error) {
      // One that does not answer may have another pod at work in it; one that refuses (read-only, say) has none that writes.
      if (error instanceof ReprieveError && error.data.aborted === true) return unanswered
      return { outcome: 'unfenced', why: describeError(error) }
    }
  }

  /** Waits its turn: for a pod that is being ended until it has, for one that is not only long enough to be sure. */
  async await(signal: AbortSignal): Promise<ClaimOutcome> {
    const announced = new AnnouncedEnd()
    let until = Date.now() + waitForRunningMs
    for (;;) {
      const outcome = await this.take(Math.min(1_000, Math.max(0, until - Date.now())), signal)
      if (outcome.outcome !== 'busy') return outcome
      const file = await this.#lockFile().catch(() => undefined)
      const note = file === undefined ? undefined : await readNote(file)
      until = Math.max(until, announced.by(note, Date.now()) + leaveGraceMs)
      if (Date.now() >= until || signal.aborted) return outcome
    }
  }

  /** Tells who waits that this pod ends, and by when. */
  async leaving(deadline: Deadline): Promise<void> {
    const { outcome } = await this.take(0, AbortSignal.timeout(noteDeadlineMs))
    if (outcome === 'held') await this.#note({ leavesBy: deadline.epochMs, leavesInMs: deadline.leftMs })
  }

  release(): void {
    this.#keeper?.stdin?.destroy()
    this.#keeper = undefined
  }

  #lock(file: string, waitMs: number, signal: AbortSignal): Promise<ClaimOutcome> {
    return new Promise((resolve) => {
      const child = spawn(volumePaths.launcher, ['lock', String(waitMs), file], {
        stdio: ['pipe', 'pipe', 'pipe'],
      })
      let said = ''
      const finish = (outcome: ClaimOutcome) => {
        clearTimeout(timer)
        signal.removeEventListener('abort', giveUp)
        if (outcome.outcome === 'held') this.#keeper = child
        else child.stdin.destroy()
        resolve(outcome)
      }
      const giveUp = () => {
        child.kill('SIGKILL')
        finish(unanswered)
      }
      // A hung file server hangs open(2) as well.
      const timer = setTimeout(giveUp, waitMs + noteDeadlineMs)
      signal.addEventListener('abort', giveUp)
      child.stdin.on('error', () => undefined)
      child.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString('latin1')
        if (said === 'held\n') finish({ outcome: 'held' })
        if (said === 'busy\n') finish(taken)
      })
      child.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString('utf8')
      })
      child.on('error', (error) => finish({ outcome: 'unfenced', why: error.message }))
      child.on('close', () => {
        if (this.#keeper === child) this.#lost()
        finish({ outcome: 'unfenced', why: said.trim() })
      })
    })
  }

  /** Somebody ended the process that held the lock: it is taken again before the next checkpoint is written. */
  #lost(): void {
    this.#keeper = undefined
    this.#log.warn('the claim on the lineage was lost')
  }

  /** For people and for who waits; the lock itself is the kernel's. */
  async #note(more: Pick<Note, 'leavesBy' | 'leavesInMs'>): Promise<void> {
    const { name, uid, node } = this.#identity
    const note: Note = { pod: name, uid, node, ...more }
    try {
      await writeFile(await this.#lockFile(), `${JSON.stringify(note)}\n`, {
        signal: AbortSignal.timeout(noteDeadlineMs),
      })
    } catch (error) {
      this.#log.warn({ err: error }, 'the claim on the lineage could not be signed')
    }
  }
}

async function readNote(file: string): Promise<Note | undefined> {
  return readFile(file, { encoding: 'utf8', signal: AbortSignal.timeout(noteDeadlineMs) }).then(
    parseNote,
    () => undefined,
  )
}
