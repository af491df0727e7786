import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { ReprieveError } from '../../src/errors.ts'
import type { EventLog } from '../../src/log.ts'

export type CommandResult = {
  outcome: 'exited' | 'killed' | 'deadline' | 'aborted' | 'unstartable'
  /** Exit status when `exited`. */
  code: number | null
  /** The signal that ended it when `killed`. */
  signal: string | null
  /** At most the first 64 KiB; the whole unless `isCut`. */
  stdout: string
  isCut: boolean
  /** At most the last 64 KiB: a command reports the cause of its failure last. */
  stderr: string
  ms: number
  error?: unknown
}

export type CommandOptions = {
  log: EventLog
  deadlineMs: number
  signal?: AbortSignal
  /** As for child_process.spawn; streams 1 and 2 are collected where they are pipes. */
  stdio?: StdioOptions
  env?: NodeJS.ProcessEnv
  /** Called once the process runs, e.g. to feed its standard input. */
  started?: (child: ChildProcess) => void
}

const collectLength = 64 * 1024
/** A killed command closes its streams at once, unless it hangs in a mount or a child of it keeps them open. */
const lingerMs = 1_000

/** Runs an external command to its end, its deadline or the abort, whichever is first. Never rejects. */
export function runCommand(argv: readonly string[], options: CommandOptions): Promise<CommandResult> {
  const began = performance.now()
  const [file = '', ...args] = argv
  return new Promise((resolve) => {
    let ended: CommandResult['outcome'] | undefined
    const text = { stdout: '', isCut: false, stderr: '' }
    let child: ChildProcess | undefined
    let lingering: NodeJS.Timeout | undefined
    const finish = (
      outcome: CommandResult['outcome'],
      code: number | null,
      signal: string | null,
      error?: unknown,
    ) => {
      clearTimeout(timer)
      clearTimeout(lingering)
      options.signal?.removeEventListener('abort', abort)
      const result: CommandResult = { outcome, code, signal, ...text, ms: performance.now() - began }
      if (error !== undefined) result.error = error
      options.log.debug(
        { event: 'command.ended', argv, outcome, code, signal, ms: Math.round(result.ms) },
        'command ended',
      )
      resolve(result)
    }
    const stop = (why: 'deadline' | 'aborted') => {
      ended ??= why
      child?.kill('SIGKILL')
      lingering ??= setTimeout(() => {
        child?.removeAllListeners('close')
        for (const stream of child?.stdio ?? []) stream?.destroy()
        finish(why, child?.exitCode ?? null, child?.signalCode ?? null)
      }, lingerMs)
    }
    const abort = () => stop('aborted')
    const timer = setTimeout(() => stop('deadline'), options.deadlineMs)
    try {
      child = spawn(file, args, {
        stdio: options.stdio ?? ['ignore', 'pipe', 'pipe'],
        env: options.env ?? process.env,
      })
    } catch (error) {
      finish('unstartable', null, null, error)
      return
    }
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      const room = collectLength - text.stdout.length
      text.stdout += chunk.slice(0, room)
      text.isCut ||= chunk.length > room
    })
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      text.stderr = (text.stderr + chunk).slice(-collectLength)
    })
    child.on('error', (error) => finish('unstartable', null, null, error))
    // A grandchild may keep an extra channel open: nothing must wait for it after the command has ended.
    child.on('exit', () => {
      for (const stream of child?.stdio.slice(3) ?? []) stream?.destroy()
    })
    child.on('close', (code, signal) =>
      finish(ended ?? (signal === null ? 'exited' : 'killed'), code, signal),
    )
    if (options.signal?.aborted) abort()
    else options.signal?.addEventListener('abort', abort)
    // Without a process there may be no streams either (EMFILE); its error event follows.
    if (child.pid !== undefined) options.started?.(child)
  })
}

/** The same for a command that must succeed and whose whole output is read. @throws ReprieveError `command-failed` */
export async function mustRun(
  argv: readonly string[],
  options: CommandOptions & { okCodes?: number[] },
): Promise<CommandResult> {
  const result = await runCommand(argv, options)
  const isOk = result.outcome === 'exited' && (options.okCodes ?? [0]).includes(result.code ?? -1)
  if (isOk && !result.isCut) return result
  throw commandError(argv, result)
}

export function commandError(argv: readonly string[], result: CommandResult): ReprieveError {
  const isLong = result.outcome === 'exited' && result.isCut
  const how = isLong
    ? `wrote more than ${collectLength} characters`
    : {
        exited: `exited with ${result.code}`,
        killed: `was killed by ${result.signal}`,
        deadline: `ran past its deadline after ${Math.round(result.ms)} ms`,
        aborted: 'was aborted',
        unstartable: 'could not be started',
      }[result.outcome]
  const said = result.stderr.trim().split('\n').slice(-3).join(' | ')
  const name = argv.find((word) => /\/(criu|tar|find)$/.test(word)) ?? argv[0]
  return new ReprieveError(
    'command-failed',
    `${name} ${how}${said === '' ? '' : `: ${said}`}`,
    { argv, ...result },
    result.error,
  )
}
