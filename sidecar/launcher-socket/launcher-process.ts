/**
 * What a process of the pod is to the sidecar: the launcher of a container, a container's preStop hook, or neither. Only the container
 * runtime starts these two, with words that the webhook wrote. The application of the container can run the same file, but its processes
 * have a parent in the pod.
 */
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import type { EventLog } from '../../src/log.ts'
import { readStatNow } from '../../src/process-stat.ts'
import { volumePaths } from '../../src/volume.ts'
import { runsLauncher, shareMounts } from '../proc/process-tree.ts'
import { peerPidsOf } from './peer-pids.ts'

export type LauncherProcess = { pid: number; mode: 'run' | 'prestop'; container: string }

export type PeersOf = (sockets: readonly Socket[], connectedTicks: number) => Promise<Peers>
/** For each connection; undefined for a peer that is no launcher of the pod. */
export type Peers = readonly (LauncherProcess | undefined)[]

/** A process outside the PID namespace of the pod: the runtime's. */
const parentOutside = 0

/**
 * @param folder where the launchers lie
 * @param connectedTicks an instant after the connection, in ticks since boot: a process that began later only has the peer's number
 */
export function launcherProcessOf(
  pid: number,
  folder: string,
  connectedTicks: number,
): LauncherProcess | undefined {
  const stat = pid > 1 ? readStatNow(pid) : undefined
  if (stat?.parent !== parentOutside || stat.startTicks > connectedTicks) return undefined
  if (!runsLauncher(pid, folder) || shareMounts(pid, process.pid)) return undefined
  const words = wordsOf(pid)
  return words === undefined ? undefined : { pid, ...words }
}

/** The launchers and hooks behind connections, as the kernel and /proc name them. */
export function launchersBehind(log: EventLog): PeersOf {
  return async (sockets, connectedTicks) => {
    const pids = await peerPidsOf(sockets, log)
    return pids.map((pid) => launcherProcessOf(pid, volumePaths.bin, connectedTicks))
  }
}

/** The words of a launcher are its own: it cannot be traced (launcher/shared/process.h). */
function wordsOf(pid: number): Omit<LauncherProcess, 'pid'> | undefined {
  try {
    return parseWords(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
  } catch {
    return undefined
  }
}

/** @param text of /proc/PID/cmdline: each word ends with a zero byte */
export function parseWords(text: string): Omit<LauncherProcess, 'pid'> | undefined {
  const [, mode, ...words] = text.split('\0')
  if (mode !== 'run' && mode !== 'prestop') return undefined
  const end = words.indexOf('--')
  const own = end < 0 ? words : words.slice(0, end)
  // The launcher takes the first, too (launcher/shared/options.c).
  const container = own.find((word) => word.startsWith('--container='))?.slice('--container='.length)
  return container === undefined || container === '' ? undefined : { mode, container }
}

/** Ticks of 10 ms since the machine booted. */
export function ticksNow(): number {
  return Math.ceil(Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]) * 100)
}
