/** What the machine and its guest tell each other: one JSON object a line, so that nothing the kernel prints gets in between. */

/** The virtio port's name, by which the guest finds it. */
export const portName = 'reprieve.tests'

export type Request = {
  kind: 'run'
  argv: string[]
  environment: Record<string, string>
  deadlineMs: number
}

export type Report =
  | { kind: 'ready'; kernel: string }
  | { kind: 'output'; stream: 'stdout' | 'stderr'; text: string }
  | { kind: 'ended'; code: number; timedOut: boolean; wallMs: number }

export function encode(message: Request | Report): string {
  return `${JSON.stringify(message)}\n`
}

/** @throws Error for a line that the other side cannot have meant */
export function parseReport(line: string): Report {
  return parse<Report>(line, ['ready', 'output', 'ended'])
}

/** @throws Error for a line that the other side cannot have meant */
export function parseRequest(line: string): Request {
  return parse<Request>(line, ['run'])
}

function parse<Message extends { kind: string }>(line: string, kinds: Message['kind'][]): Message {
  try {
    const value = JSON.parse(line) as Message
    if (kinds.includes(value.kind)) return value
  } catch (error) {
    throw new Error(`not a message: ${line.slice(0, 200)}`, { cause: error })
  }
  throw new Error(`no message of a kind that is expected (${kinds.join(', ')}): ${line.slice(0, 200)}`)
}
