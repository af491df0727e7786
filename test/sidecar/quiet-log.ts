import { pino } from 'pino'
import type { Log } from '../../src/log.ts'

/** For what a test does not look at. */
export const quietLog: Log = pino({ level: 'silent' })
