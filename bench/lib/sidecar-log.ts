/** Instants and durations that the sidecar and the restore init container tell in their logs. */
import type { Pod } from '../../test/harness/pod.ts'
import { sidecarEntries, type LogEntry } from '../../test/e2e/support.ts'

/** The first entry that fits. @throws Error with all that is known of the pod */
export function entryWhere(pod: Pod, container: string, fits: (entry: LogEntry) => boolean): LogEntry {
  const found = sidecarEntries(pod, container).find(fits)
  if (found === undefined) throw new Error(`${container} did not say what was awaited\n${pod.describe()}`)
  return found
}

export function hasEvent(code: string): (entry: LogEntry) => boolean {
  return ({ event }) => event === code
}

/** The launcher's first word: its container stands, and the application waits for its state. Needs `debug`. */
export function launcherWaits({ cause }: LogEntry): boolean {
  return typeof cause === 'object' && cause !== null && 'event' in cause && cause.event === 'waiting'
}

export function timeOf(entry: LogEntry): number {
  return Date.parse(String(entry.time))
}

/** The entry's fields that are milliseconds, without the `Ms` in their names. */
export function phasesOf(entry: LogEntry): Record<string, number> {
  return Object.fromEntries(
    Object.entries(entry)
      .filter((field): field is [string, number] => field[0].endsWith('Ms') && typeof field[1] === 'number')
      .map(([name, ms]) => [name.slice(0, -2), ms]),
  )
}
