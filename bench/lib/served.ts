/** Servers to be measured, each in a process of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'node:tls'
import { clearAtEnd } from './report.ts'
import { freePort } from '../../test/free-port.ts'

export type Served = { port: number; residentMiB: () => number; stop: () => Promise<void> }

const startDeadlineMs = 60_000

/** @param start from the free port that it is to listen on: its arguments, environment and folder */
export async function serve(
  name: string,
  start: (port: number) => { argv: string[]; env?: Record<string, string>; cwd?: string },
): Promise<Served> {
  const port = await freePort()
  const { argv, env = {}, cwd } = start(port)
  const child = spawn(process.execPath, argv, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said = (said + chunk).slice(-4000)))
  const exited = once(child, 'exit')
  const stop = async () => {
    child.kill('SIGKILL')
    await exited
  }
  clearAtEnd(stop)
  const until = performance.now() + startDeadlineMs
  while (!(await listens(port))) {
    if (child.exitCode !== null || performance.now() > until)
      throw new Error(`${name} does not listen: ${said.trim()}`)
    await delay(100)
  }
  const residentMiB = () =>
    Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024
  return { port, residentMiB, stop }
}

async function listens(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false })
  try {
    await once(socket, 'secureConnect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
