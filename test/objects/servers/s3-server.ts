/** An S3 server on the loopback, started for one test file. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { listens } from '../../free-port.ts'

export type Credential = { accessKeyId: string; secretAccessKey: string }

export type S3Server = {
  /** `http://127.0.0.1:PORT` */
  endpoint: string
  port: number
  region: string
  credential: Credential
  /** Whether it honours `If-None-Match: *` on a PUT. */
  keepsConditions: boolean
  /** Whether a range has the right bytes. */
  keepsRanges: boolean
  /** What it has printed. */
  output: () => string
}

type Test = { teardown: (work: () => unknown) => void }
type Started = Omit<S3Server, 'endpoint' | 'output'> & { child: ChildProcess }

/** Before a command: it is killed with the test that started it, however that ends. */
export const withTest = ['setpriv', '--pdeathsig', 'KILL'] as const

const startDeadlineMs = 120_000

/** @throws Error with the server's own words if it ends, or does not listen in time */
export async function answering(t: Test, { child, ...server }: Started): Promise<S3Server> {
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-20_000)))
  let ended = false
  const exited = once(child, 'exit').then(() => (ended = true))
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
  })
  for (const until = performance.now() + startDeadlineMs; !(await listens(server.port)); await sleep(50))
    if (ended || performance.now() > until)
      throw new Error(`no S3 server on port ${server.port}: ${output.slice(-2_000)}`)
  return { ...server, endpoint: `http://127.0.0.1:${server.port}`, output: () => output }
}
