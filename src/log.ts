import { destination, pino, type Logger } from 'pino'

export type Log = Logger

/**
 * Structured log, one JSON line an event on standard output, written synchronously: a process that is about to be
 * killed must not lose its last words.
 */
export function createLog(component: string, bindings: Record<string, unknown> = {}): Log {
  return pino(
    {
      base: { component, ...bindings },
      level: process.env.REPRIEVE_LOG_LEVEL ?? 'info',
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination({ fd: 1, sync: true }),
  )
}
