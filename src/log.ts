import { destination, pino, type DestinationStream, type Logger } from 'pino'
import type { LogEvent } from './log-events.ts'

/** A line: the code of its event and what is particular to it, then the sentence. */
type Line = (fields: { event: LogEvent } & Record<string, unknown>, sentence: string) => void

/** A logger of which every line names its event. */
export type EventLog = {
  debug: Line
  info: Line
  warn: Line
  error: Line
  fatal: Line
  child: (bindings: Record<string, unknown>) => EventLog
}

/**
 * Structured log, one JSON line an event on standard output, written synchronously: a process that is about to be
 * killed must not lose its last words.
 */
export function createLog(component: string, bindings: Record<string, unknown> = {}): EventLog {
  return logTo(destination({ fd: 1, sync: true }), component, bindings)
}

/**
 * The same for a process that answers many at a time: what one turn of the event loop has to say is written together at the end of the
 * turn, so no more than that is lost when it is killed, and nothing when it ends in any other way.
 */
export function createLogByTurn(component: string): EventLog {
  return logTo(byTurn(), component, {})
}

function logTo(stream: DestinationStream, component: string, bindings: Record<string, unknown>): Logger {
  return pino(
    {
      base: { component, ...bindings },
      level: process.env.REPRIEVE_LOG_LEVEL ?? 'info',
      timestamp,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  )
}

/** A turn that has more to say than this writes in between. */
const mostUnwrittenCharacters = 8 * 1024

function byTurn(): DestinationStream {
  const out = destination({ fd: 1, sync: true })
  let unwritten = ''
  // Not the destination's own buffer and `flushSync`: that ends with an fsync, which a pipe refuses by an error that costs more than the line.
  const flushSync = (): void => {
    if (unwritten === '') return
    const lines = unwritten
    unwritten = ''
    out.write(lines)
  }
  process.on('exit', flushSync)
  const write = (line: string): void => {
    if (unwritten === '') setImmediate(flushSync)
    unwritten += line
    if (unwritten.length >= mostUnwrittenCharacters) flushSync()
  }
  // pino asks for `flushSync` before a fatal end.
  return Object.assign({ write }, { flushSync })
}

let lastSecond = 0
let lastText = ''

/** All but the milliseconds is made once a second: a busy webhook says thousands of lines in each. */
function timestamp(): string {
  const now = Date.now()
  const ms = now % 1000
  if (now - ms !== lastSecond) {
    lastSecond = now - ms
    lastText = `,"time":"${new Date(lastSecond).toISOString().slice(0, -'000Z'.length)}`
  }
  return `${lastText}${String(ms).padStart(3, '0')}Z"`
}
