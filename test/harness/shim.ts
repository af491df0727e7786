/** The harness's side of a container's shim (native/shim.c): starts it, hears what becomes of the container. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { within } from './deadline.ts'

export type ShimOptions = {
  program: string
  log: string
  pidFile: string
  joinMountOf?: number
  procsFiles: string[]
  mounts: string[]
  command: string[]
}

export type Shim = {
  /** Of the shim itself, whose mount namespace holds the container's mounts. */
  shimPid: number
  /** The host's pid of the container's first process. */
  pid: number
  /** The container's exit status, as a shell gives it. */
  exited: Promise<number>
  /** Makes the shim kill the container, as it does when the harness dies. */
  abandon: () => void
}

/** @throws Error with what the shim and the runtime said when the container could not be created. */
export async function startShim(options: ShimOptions, deadlineMs = 60_000): Promise<Shim> {
  const args = [
    `--log=${options.log}`,
    `--pid-file=${options.pidFile}`,
    ...(options.joinMountOf === undefined ? [] : [`--join-mount=${options.joinMountOf}`]),
    ...options.procsFiles.map((file) => `--procs=${file}`),
    ...options.mounts.map((mount) => `--mount=${mount}`),
    '--',
    ...options.command,
  ]
  const child = spawn(options.program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.on('error', () => undefined) // the shim may end first
  let complaints = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text))
  const created = Promise.withResolvers<number>()
  const exited = Promise.withResolvers<number>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [event, value] = line.split(/ \w+=/)
    if (event === 'created') created.resolve(Number(value))
    else if (event === 'exited') exited.resolve(Number(value))
    else created.reject(new Error(`the runtime failed (${value})`))
  })
  child.on('error', (error) => created.reject(error))
  child.on('close', (code, signal) => {
    created.reject(new Error(`the shim ended (${code ?? signal}): ${complaints.trim()}`))
    exited.resolve(137) // a shim that is killed takes its knowledge with it
  })
  const pid = await within(created.promise, deadlineMs)
  if (pid === undefined) {
    child.kill('SIGKILL')
    throw new Error(`no container after ${deadlineMs} ms: ${options.command.join(' ')}`)
  }
  return { shimPid: child.pid ?? 0, pid, exited: exited.promise, abandon: () => child.stdin.end() }
}
