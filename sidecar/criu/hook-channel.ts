/**
 * CRIU stops at the instants that its action scripts name and asks; the launcher, under the name `criu-hook`, carries the
 * question over an inherited socket to us. While we do not answer, the tasks stand still; if we die, the hook reads
 * the end of the file, CRIU gives up, and the tasks go on: no instant exists at which our death loses the application.
 * Should we hang instead, the hook misses our `wait`s and gives up just so.
 */
import type { Duplex } from 'node:stream'

export type HookAnswer = 'go' | 'abort'
export type HookHandler = (action: string) => Promise<HookAnswer>

/** The hook gives up after 10 s of silence (PROTOCOL.md). */
const reassureEveryMs = 2_000

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
      const waiting = setInterval(() => channel.writable && channel.write('wait\n'), reassureEveryMs)
      const answer = (word: HookAnswer) => {
        clearInterval(waiting)
        channel.write(`${word}\n`)
      }
      handler(action).then(answer, () => answer('abort'))
    }
  })
}
