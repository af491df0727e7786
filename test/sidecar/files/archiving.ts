/**
 * Run in a mount namespace of its own, as unpacking.ts: mounts a volume, makes files there, and archives them.
 *
 *   node archiving.ts LAUNCHER_PID FOLDER FILES BYTES_EACH ROOM_BYTES [EXCLUDED]
 */
import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { archiveEphemeral } from '../../../sidecar/files/archive.ts'
import { describeError } from '../../../src/errors.ts'
import { quietLog as log } from '../quiet-log.ts'
import { containerPlan } from '../stand-ins.ts'

const [, , pid, folder = '', files, bytesEach, roomBytes, ...exclude] = process.argv
const scratch = '/reprieve/scratch'
mkdirSync(scratch)
for (const folder of [scratch, '/dev/shm'])
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'nr_inodes=0', 'none', folder])
// So that the machine's own files are not looked through.
execFileSync('mount', ['-o', 'remount,bind,ro', '/'])
const content = Buffer.alloc(Number(bytesEach), 'x')
for (let number = 0; number < Number(files); number++) {
  if (number % 1_000 === 0) mkdirSync(`${scratch}/${number}`)
  const file = openSync(`${scratch}/${number - (number % 1_000)}/${number}`, 'w')
  if (content.length > 0) writeSync(file, content)
  closeSync(file)
}
const outcome = await archiveEphemeral({
  pid: Number(pid),
  plan: { ...containerPlan, emptyDirs: [scratch], exclude },
  baseline: { instantMs: Date.now(), names: undefined },
  folder,
  roomBytes: Number(roomBytes),
  deadlineMs: 100_000,
  signal: AbortSignal.timeout(100_000),
  log,
}).then(
  ({ entries }) => ({ entries }),
  (error: unknown) => ({ error: describeError(error) }),
)
process.stdout.write(JSON.stringify(outcome))
