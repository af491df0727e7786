/**
 * CRIU stops at the instants that its action scripts name and asks; the launcher, under the name `criu-hook`, carries the
 * question over an inherited socket to us. While we do not answer, the tasks stand still; if we die, the hook reads
 * the end of the file, CRIU gives up, and the tasks go on: no instant exists at which our death loses the application.
 */
import type { Duplex } from 'node:stream'

export type HookAnswer = 'go' | 'abort'
export type HookHandler = (action: string) => Promise<HookAnswer>

export function answerHooks(channel: Duplex, handler: HookHandler): void {
  let rest = ''
  channel.setEncoding('latin1')
  channel.on('error', () => channel.destroy())
  channel.on('data', (text: string) => {
    rest += text
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const action = line.split(' ')[0] ?? ''
      handler(action).then(
        (answer) => channel.write(`${answer}\n`),
        () => channel.write('abort\n'),
      )
    }
  })
}
