/**
 * A person or a script asks: one JSON line on the control socket, `{"container"?, "reason"?, "afterwards"?: "resume" | "end",
 * "deadlineMs"?}`, answered by one JSON line. Only root in the pod can connect.
 */
import { chmod, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { Deadline } from '../../../src/deadline.ts'
import { describeError } from '../../../src/errors.ts'
import type { EventLog } from '../../../src/log.ts'
import type { CheckpointRequest } from '../../checkpoint/request.ts'
import type { Checkpointable, Trigger } from '../../container/trigger.ts'

const defaultDeadlineMs = 600_000
const longestRequestBytes = 4096

export class ManualTrigger implements Trigger {
  readonly name = 'manual'
  readonly #path: string
  readonly #log: EventLog
  #server: Server | undefined

  constructor(path: string, log: EventLog) {
    this.#path = path
    this.#log = log
  }

  async start(containers: ReadonlyMap<string, Checkpointable>): Promise<void> {
    await rm(this.#path, { force: true })
    const server = createServer((socket) => this.#serve(socket, containers))
    server.maxConnections = 16
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.#path, resolve)
    })
    await chmod(this.#path, 0o600)
    this.#server = server
  }

  async stop(): Promise<void> {
    this.#server?.close()
  }

  #serve(socket: Socket, containers: ReadonlyMap<string, Checkpointable>): void {
    let text = ''
    const answer = (value: unknown) => socket.end(`${JSON.stringify(value)}\n`)
    socket.setEncoding('utf8')
    socket.on('error', (error) =>
      this.#log.debug({ event: 'control.broke', error: error.message }, 'a control connection broke'),
    )
    socket.on('data', (chunk: string) => {
      text += chunk
      if (text.length > longestRequestBytes) {
        socket.removeAllListeners('data').resume()
        return answer({ error: `a request is at most ${longestRequestBytes} bytes` })
      }
      const end = text.indexOf('\n')
      if (end < 0) return
      socket.removeAllListeners('data')
      this.#take(text.slice(0, end), containers).then(answer, (error) =>
        answer({ error: describeError(error) }),
      )
    })
  }

  async #take(line: string, containers: ReadonlyMap<string, Checkpointable>): Promise<unknown> {
    const { names, request } = parseRequest(line, [...containers.keys()])
    const outcomes = await Promise.all(
      names.map(async (name) => [name, await containers.get(name)?.checkpoint({ ...request })] as const),
    )
    return Object.fromEntries(outcomes)
  }
}

/** @throws Error naming all that is wrong */
export function parseRequest(
  line: string,
  known: readonly string[],
): { names: string[]; request: CheckpointRequest } {
  const value: unknown = JSON.parse(line)
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error('a request is one JSON object')
  const {
    container,
    reason = 'asked by hand',
    afterwards = 'resume',
    deadlineMs = defaultDeadlineMs,
    ...rest
  } = value as Record<string, unknown>
  const problems: string[] = []
  if (container !== undefined && (typeof container !== 'string' || !known.includes(container)))
    problems.push(`container must be one of ${known.join(', ')}`)
  if (typeof reason !== 'string' || reason.length > 200)
    problems.push('reason must be a text of at most 200 characters')
  if (afterwards !== 'resume' && afterwards !== 'end') problems.push('afterwards must be "resume" or "end"')
  if (!Number.isSafeInteger(deadlineMs) || Number(deadlineMs) < 1 || Number(deadlineMs) > 3_600_000)
    problems.push('deadlineMs must be 1 to 3600000')
  for (const key of Object.keys(rest)) problems.push(`${key} is not known`)
  if (problems.length > 0) throw new Error(problems.join('; '))
  return {
    names: container === undefined ? [...known] : [String(container)],
    request: {
      trigger: 'manual',
      reason: String(reason),
      afterwards: afterwards === 'end' ? 'end' : 'resume',
      deadline: Deadline.in(Number(deadlineMs)),
    },
  }
}
