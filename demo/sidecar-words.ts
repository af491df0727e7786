/** What the sidecar and the restore init container tell of their work: their logs, their status port, the manifest. */
import { join } from 'node:path'
import { pino } from 'pino'
import { must } from '../scripts/command.ts'
import type { CheckpointManifest, Slot } from '../src/manifest.ts'
import { openStore } from '../src/store/open.ts'
import { poll } from '../test/harness/deadline.ts'
import type { Pod } from '../test/harness/pod.ts'
import { statusPort } from './webhook-process.ts'

export const sidecarName = 'reprieve-sidecar'
export const restorerName = 'reprieve-restore'

const readDeadlineMs = 10_000

/** Milliseconds by name. */
export type Phases = Record<string, number>

export type Restored = { restoredFrom: string; restorePhases: Phases; residentBytes: number }

/** The fields of the sidecar's (or restorer's) first log entry with this message. @throws Error with the end of its log */
export function entryOf(pod: Pod, container: string, message: string): Record<string, unknown> {
  const lines = pod.logLines(container)
  for (const { text } of lines) {
    const entry = parsed(text)
    if (entry?.msg === message) return entry
  }
  const log = lines
    .slice(-20)
    .map(({ text }) => text)
    .join('\n')
  throw new Error(`${container} of ${pod.name} never said "${message}"; its last words:\n${log}`)
}

/** The log is JSON, but for what a broken runtime may print between. */
function parsed(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    return JSON.parse(line) as Record<string, unknown>
  } catch {
    return undefined
  }
}

export function phasesOf(entry: Record<string, unknown>): Phases {
  return Object.fromEntries(
    Object.entries(entry).filter((field): field is [string, number] => field[0].endsWith('Ms')),
  )
}

/** What the sidecar's status says of the restore. The application may well print a line before the sidecar has noted its own. */
export function restoredOf(pod: Pod): Promise<Restored> {
  let last: unknown
  const ask = async (): Promise<Restored | undefined> => {
    const status = await statusOf(pod)
    last = status
    const [container] = status.containers
    if (container?.restoredFrom === undefined || container.restorePhases === undefined) return undefined
    const { restoredFrom, restorePhases } = container
    return { restoredFrom, restorePhases, residentBytes: status.residentBytes }
  }
  return poll('the sidecar to say what it restored', readDeadlineMs, ask, () => JSON.stringify(last))
}

type Status = {
  residentBytes: number
  containers: { restoredFrom?: string; restorePhases?: Phases }[]
}

/** Asked for inside the pod's network namespace: the port is open on 127.0.0.1 only. */
async function statusOf(pod: Pod): Promise<Status> {
  const ask = `fetch('http://127.0.0.1:${statusPort}/status').then((it) => it.text()).then((it) => console.log(it))`
  const argv = ['nsenter', `--net=/proc/${pod.podPid}/ns/net`, process.execPath, '-e', ask]
  return JSON.parse(await must(argv, { deadlineMs: readDeadlineMs })) as Status
}

/** What the store holds of a slot, newest first. */
export async function checkpointsIn(whole: string, slot: Slot): Promise<CheckpointManifest[]> {
  const [namespace = ''] = slot.lineage.split('/')
  const folder = join(whole, namespace)
  const store = openStore({ kind: 'directory', name: 'demo', path: folder }, pino({ level: 'silent' }))
  return (await store.list(slot, AbortSignal.timeout(readDeadlineMs))).manifests
}
