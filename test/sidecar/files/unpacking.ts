/**
 * Run in a mount namespace of its own, where /reprieve holds the launcher and stand-ins for the bundled tools: one life of a sidecar
 * that does what its arguments say, and dies.
 *
 *   node unpacking.ts LAUNCHER_PID unpack FOLDER | undo
 */
import { heldPaths } from '../../../sidecar/criu/regular-files.ts'
import { firstStartOf } from '../../../sidecar/files/fresh-files.ts'
import { unpackEphemeral } from '../../../sidecar/files/unpack.ts'
import { startByClockOf } from '../../../sidecar/proc/process-tree.ts'
import { takeBackEarlier } from '../../../sidecar/restore/restore-attempt.ts'
import { quietLog as log } from '../quiet-log.ts'
import { containerPlan, standInStore, surroundings } from '../stand-ins.ts'

const [pid = 0, what, folder = ''] = process.argv.slice(2).map((word, at) => (at === 0 ? Number(word) : word))
const signal = AbortSignal.timeout(20_000)
if (typeof pid !== 'number' || typeof folder !== 'string')
  throw new Error('usage: LAUNCHER_PID unpack FOLDER | undo')
const held = () => heldPaths(`${folder}/criu`)
/** An earlier start than this launcher's where the test has noted one. */
const firstStart = async () => (await firstStartOf('/reprieve/run/app')) || startByClockOf(pid)
if (what === 'unpack')
  await unpackEphemeral({ pid, folder, held, firstStart, deadlineMs: 10_000, signal, log })
else await takeBackEarlier(surroundings(standInStore()), { plan: containerPlan, launcherPid: pid }, signal)
