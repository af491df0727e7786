/** Starts the real launcher, built from its sources, and tells what became of it. */
import { execFileSync, spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Test } from 'tap'
import { readStatNow } from '../../src/process-stat.ts'

const root = resolve(import.meta.dirname, '../..')
export const launcherPath = join(root, 'build/launcher/launcher')

// Test files run beside each other: one builds, the others wait and find it built.
mkdirSync(join(root, 'build'), { recursive: true })
execFileSync('flock', [join(root, 'build/launcher.lock'), 'make', '-s', '-C', join(root, 'launcher')])

export type Ending = {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
  tookMs: number
}
export type Started = {
  pid: number
  child: ChildProcess
  output: () => string
  errors: () => string
  ended: Promise<Ending>
}

export function scratch(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'launcher-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

export type Options = { env?: Record<string, string>; stdio?: StdioOptions; file?: string; argv0?: string }

export function launch(t: Test, args: string[], options: Options = {}): Started {
  const began = performance.now()
  const child = spawn(options.file ?? launcherPath, args, {
    stdio: options.stdio ?? ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      REPRIEVE_PATIENCE_MS: '300',
      REPRIEVE_SOCKET: '/nonexistent/socket',
      ...options.env,
    },
    ...(options.argv0 === undefined ? {} : { argv0: options.argv0 }),
  })
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (data: Buffer) => (stdout += data.toString()))
  child.stderr?.on('data', (data: Buffer) => (stderr += data.toString()))
  const ended = new Promise<Ending>((done, fail) => {
    child.on('error', fail)
    child.on('close', (code, signal) =>
      done({ code, signal, stdout, stderr, tookMs: performance.now() - began }),
    )
  })
  if (child.pid === undefined) throw new Error('the launcher did not start')
  t.teardown(() => void child.kill('SIGKILL'))
  return { pid: child.pid, child, output: () => stdout, errors: () => stderr, ended }
}

/** SIGKILL to a process that may have ended by itself this very moment, as a parent does when its child was killed. */
export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

export function isAlive(pid: number): boolean {
  return !['Z', 'X'].includes(readStatNow(pid)?.state ?? 'X')
}

export function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
}
