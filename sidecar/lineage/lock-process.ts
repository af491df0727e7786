/** The process that has the slot lock: `launcher lock`, since Node has no call for flock(2). The kernel frees the lock when it ends. */
import { spawn, type ChildProcess } from 'node:child_process'
import { volumePaths } from '../../src/volume.ts'

export type Locked =
  | { outcome: 'locked'; process: ChildProcess }
  | { outcome: 'busy' }
  /** Whether another process has the lock is unknown. */
  | { outcome: 'unanswered' }
  /** The file system cannot lock. */
  | { outcome: 'impossible'; why: string }

/** On a hung file server open(2) hangs as well. */
const answerMs = 5_000

/** @param how `ended`: called when the process that has the lock ends; `launcher`: the program that locks */
export function lockFile(
  file: string,
  waitMs: number,
  signal: AbortSignal,
  how: { ended?: (process: ChildProcess) => void; launcher?: string | undefined } = {},
): Promise<Locked> {
  return new Promise((resolve) => {
    const child = spawn(how.launcher ?? volumePaths.launcher, ['lock', String(Math.ceil(waitMs)), file], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    let said = ''
    const finish = (locked: Locked) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', giveUp)
      if (locked.outcome !== 'locked') child.stdin.destroy()
      resolve(locked)
    }
    const giveUp = () => {
      child.kill('SIGKILL')
      finish({ outcome: 'unanswered' })
    }
    const timer = setTimeout(giveUp, waitMs + answerMs)
    signal.addEventListener('abort', giveUp)
    child.stdin.on('error', () => undefined)
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString('latin1')
      if (said === 'held\n') finish({ outcome: 'locked', process: child })
      if (said === 'busy\n') finish({ outcome: 'busy' })
    })
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString('utf8')
    })
    child.on('error', (error) => finish({ outcome: 'impossible', why: error.message }))
    child.on('close', () => {
      how.ended?.(child)
      finish({ outcome: 'impossible', why: said.trim() })
    })
  })
}
