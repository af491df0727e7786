/** Asks an agent of the node to resize the container in place. The agent has the rights for it; the sidecar has none. */
import { connect } from 'node:net'
import { describeError } from '../../../src/errors.ts'
import type { Outcome } from '../../../src/outcome.ts'

export type Growth = Outcome<{ accepted: object; refused: { why: string } }>

export interface ResourceGrower {
  /**
   * Asks that the container's memory limit become `limitBytes`. Accepted is not in force: that shows in the container's cgroup.
   * Resolves by the deadline, whatever happens.
   */
  grow(container: string, limitBytes: number, deadlineMs: number): Promise<Growth>
}

/** One that is not always there. */
export type CalledGrower = ResourceGrower & { readonly isOpen: boolean }

const longestAnswerBytes = 4096

/** One JSON line to a Unix socket, `{"container", "limitBytes"}`, answered by one: `{"accepted": true}` or `{"refused": "why"}`. */
export class SocketGrower implements ResourceGrower {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  grow(container: string, limitBytes: number, deadlineMs: number): Promise<Growth> {
    return new Promise((resolve) => {
      let text = ''
      const socket = connect(this.#path)
      const end = (growth: Growth) => {
        clearTimeout(timer)
        socket.destroy()
        resolve(growth)
      }
      const refused = (why: string) => end({ outcome: 'refused', why })
      const timer = setTimeout(() => refused(`no answer in ${deadlineMs} ms`), deadlineMs)
      socket.setEncoding('utf8')
      socket.on('connect', () => socket.write(`${JSON.stringify({ container, limitBytes })}\n`))
      socket.on('error', (error) => refused(describeError(error)))
      socket.on('close', () => refused('the connection was closed without an answer'))
      socket.on('data', (chunk: string) => {
        text += chunk
        if (text.length > longestAnswerBytes) refused('the answer is too long')
        else if (text.includes('\n')) end(parseGrowth(text.slice(0, text.indexOf('\n'))))
      })
    })
  }
}

function parseGrowth(line: string): Growth {
  const answer = ((): unknown => {
    try {
      return JSON.parse(line)
    } catch {
      return undefined
    }
  })()
  if (typeof answer === 'object' && answer !== null) {
    if ('accepted' in answer && answer.accepted === true) return { outcome: 'accepted' }
    if ('refused' in answer && typeof answer.refused === 'string')
      return { outcome: 'refused', why: answer.refused.slice(0, 500) }
  }
  return { outcome: 'refused', why: `an answer that is none: ${line.slice(0, 100)}` }
}
