import { pino } from 'pino'
import type { EventLog } from '../../src/log.ts'

/** For what a test does not look at. */
export const quietLog: EventLog = pino({ level: 'silent' })
