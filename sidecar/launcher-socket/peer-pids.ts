/** Asks the kernel which process each connection comes from. Node has no SO_PEERCRED, so the launcher asks (mode `peers`). */
import type { Socket } from 'node:net'
import type { EventLog } from '../../src/log.ts'
import { volumePaths } from '../../src/volume.ts'
import { runCommand } from '../proc/command.ts'

// @deadline The sidecar cannot learn who connected | It closes the connections; launchers connect again
const deadlineMs = 10_000

/**
 * The process number of each peer: 0 for one outside the pod’s PID namespace, -1 for one that has ended, and for all of them where nobody
 * can be asked.
 */
export async function peerPidsOf(
  sockets: readonly Socket[],
  log: EventLog,
  launcher: string = volumePaths.launcher,
): Promise<number[]> {
  // From 3 on: libuv makes the descriptors 0 to 2 of a child blocking, and these would stay so here.
  const { stdout } = await runCommand([launcher, 'peers', String(sockets.length)], {
    log,
    deadlineMs,
    stdio: ['ignore', 'pipe', 'ignore', ...sockets],
  })
  const lines = stdout.split('\n')
  return sockets.map((_, index) => (/^\d+$/.test(lines[index] ?? '') ? Number(lines[index]) : -1))
}
