/**
 * The name of a checkpoint: `<UTC yyyymmddThhmmss.mmmZ>-<8 hex digits>`, e.g. `20260102T030405.678Z-0a1b2c3d`.
 * Names sort as their instants do; the digits keep two writers of one millisecond apart. It is a safe file name.
 */
import { randomBytes } from 'node:crypto'

const form = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d\.\d{3})Z-[0-9a-f]{8}$/

/** @throws RangeError for an instant outside the years 0 to 9999, which the form cannot hold. */
export function makeCheckpointId(instant: Date, random: Uint8Array = randomBytes(4)): string {
  const stamp = instant.toISOString()
  if (stamp.length !== 24)
    throw new RangeError(`${stamp} has no checkpoint id: its year does not have four digits`)
  return `${stamp.replaceAll(/[-:]/g, '')}-${Buffer.from(random).toString('hex').padStart(8, '0').slice(0, 8)}`
}

/** The instant in ISO 8601, or undefined for a text that is not a checkpoint's id (calendar included). */
export function instantOfCheckpointId(id: string): string | undefined {
  const parts = form.exec(id)
  if (parts === null) return undefined
  const [, year, month, day, hour, minute, second] = parts
  const stamp = `${year}-${month}-${day}T${hour}:${minute}:${second}Z`
  const instant = new Date(stamp)
  // `new Date` rolls some impossible days over (30 February): only what reads back the same is an instant.
  return !Number.isNaN(instant.getTime()) && instant.toISOString() === stamp ? stamp : undefined
}

export function isCheckpointId(value: unknown): value is string {
  return typeof value === 'string' && instantOfCheckpointId(value) !== undefined
}
