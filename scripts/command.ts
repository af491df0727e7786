/** Runs a command of the machine (runc, ip, nsenter) to its end, with a deadline, and tells all about it. */
import { spawn } from 'node:child_process'

export type CommandResult = { code: number; stdout: string; stderr: string; timedOut: boolean }

export function run(
  argv: string[],
  options: { deadlineMs?: number; input?: string } = {},
): Promise<CommandResult> {
  const deadlineMs = options.deadlineMs ?? 30_000
  const [file = '', ...args] = argv
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      child.kill('SIGKILL')
    }, deadlineMs)
    // latin1 would be wrong for people's text, utf8 split in the middle of a character, too: let the stream decode.
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.stdin.on('error', () => undefined) // it may well end without reading what it is given
    child.stdin.end(options.input ?? '')
    child.on('error', (error) => {
      clearTimeout(timer)
      reject(new Error(`cannot start ${argv.join(' ')}`, { cause: error }))
    })
    child.on('exit', () => clearTimeout(timer))
    child.on('close', (code, signal) =>
      resolve({ code: code ?? (signal === 'SIGKILL' ? 137 : 128), stdout, stderr, timedOut }),
    )
    // A descendant that keeps the output open must not keep us waiting past the deadline.
    child.on('exit', (code) =>
      setTimeout(() => resolve({ code: code ?? 137, stdout, stderr, timedOut }), 2_000).unref(),
    )
  })
}

/** @throws Error with the command's own words when it does not exit 0. */
export async function must(
  argv: string[],
  options: { deadlineMs?: number; input?: string } = {},
): Promise<string> {
  const result = await run(argv, options)
  if (result.code === 0) return result.stdout
  const why = result.timedOut ? `ran past ${options.deadlineMs ?? 30_000} ms` : `exited ${result.code}`
  throw new Error(`${argv.join(' ')} ${why}: ${result.stderr.trim() || result.stdout.trim()}`)
}
