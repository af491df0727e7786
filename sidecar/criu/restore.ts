/**
 * One `criu restore` under a supervisor: a process that lives in the application's cgroup, becomes the parent of the
 * restored tree, and outlives this sidecar, so that the true exit status is known whatever happens here.
 */
import { spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import type { Duplex } from 'node:stream'
import { ReprieveError } from '../../src/errors.ts'
import type { EventLog } from '../../src/log.ts'
import type { StdioPipe } from '../../src/manifest.ts'
import { volumePaths } from '../../src/volume.ts'
import { stdioPipesOf } from '../proc/process-tree.ts'
import { toolArgv } from '../setup/tools.ts'
import { answerHooks, type HookAnswer } from './hook-channel.ts'
import { criuErrors } from './log.ts'
import { restoreArguments } from './options.ts'

export type CriuRestoreOptions = {
  launcherPid: number
  root: number
  stdio: readonly StdioPipe[]
  imagesFolder: string
  workFolder: string
  /** Where the supervisor leaves the exit code when the restored root ends. */
  statusFile: string
  /** The whole tree is restored and stands still. `abort` kills it and fails the restore. */
  restored: (supervisor: number) => Promise<HookAnswer>
  deadlineMs: number
  signal: AbortSignal
  log: EventLog
}

/** Waking a tree of ten thousand tasks takes about a second; a CRIU that hangs then leaves the application standing still. */
const lettingGoMs = 60_000

/** @throws ReprieveError `restore-failed`; then nothing of the tree is left. */
export async function restore(options: CriuRestoreOptions): Promise<{ supervisor: number; ms: number }> {
  const began = performance.now()
  const available = (await stdioPipesOf(options.launcherPid)).map((pipe) => pipe.fd)
  const images = await open(options.imagesFolder, 'r')
  const work = await open(options.workFolder, 'r')
  try {
    const supervise = [
      'supervise',
      `--pid=${options.launcherPid}`,
      `--root=${options.root}`,
      `--status=${options.statusFile}`,
    ]
    if (available.length > 0) supervise.push(`--stdio=${available.join(',')}`)
    const argv = [...supervise, '--', ...toolArgv('criu', ...restoreArguments(options.stdio, available))]
    return await new Promise((resolve, reject) => {
      const child = spawn(volumePaths.launcher, argv, {
        stdio: ['pipe', 'pipe', 'pipe', 'pipe', images.fd, work.fd],
      })
      let said = ''
      for (const stream of [child.stdout, child.stderr]) {
        stream?.on('data', (chunk: Buffer) => {
          if (said.length < 4096) said += chunk.toString('utf8')
        })
        stream?.on('error', () => undefined)
      }
      child.stdin?.on('error', () => undefined)
      const fail = async (how: string, cause?: unknown) => {
        clearTimeout(timer)
        options.signal.removeEventListener('abort', stop)
        const why = [await criuErrors(`${options.workFolder}/restore.log`), said.trim()]
          .filter((text) => text !== '')
          .join(' | ')
        reject(new ReprieveError('restore-failed', `${how}${why === '' ? '' : `: ${why}`}`, {}, cause))
      }
      // The supervisor kills what it has restored so far when its standard input ends.
      const stop = () => child.stdin?.destroy()
      let timer = setTimeout(stop, options.deadlineMs)
      if (options.signal.aborted) stop()
      else options.signal.addEventListener('abort', stop)
      child.on('error', (error) => void fail('the supervisor could not be started', error))
      child.on('exit', (code, signal) => void fail(`CRIU did not restore the tree (${signal ?? code})`))
      answerHooks(child.stdio[3] as Duplex, async (action) => {
        if (action === 'post-restore') {
          const answer = await options.restored(child.pid ?? 0)
          if (answer === 'abort') return answer
          // The launcher has it: what was cut short from here on would be the end of the container, not of an attempt.
          options.signal.removeEventListener('abort', stop)
          clearTimeout(timer)
          timer = setTimeout(() => child.kill('SIGTERM'), lettingGoMs)
          // Nor is our own death to end it. Said before CRIU is let go.
          child.stdin?.write('adopted\n')
          return answer
        }
        if (action === 'post-resume') {
          clearTimeout(timer)
          options.signal.removeEventListener('abort', stop)
          child.removeAllListeners('exit')
          child.unref()
          resolve({ supervisor: child.pid ?? 0, ms: performance.now() - began })
        }
        return 'go'
      })
    })
  } finally {
    await Promise.all([images.close(), work.close()])
  }
}
