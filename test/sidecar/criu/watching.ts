/**
 * Run in a mount namespace of its own (../files/container.ts): watches COUNT folders in a volume, and tells which of them are found.
 *
 *   node watching.ts LAUNCHER_PID COUNT NAME
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, watch } from 'node:fs'
import { watchedPaths } from '../../../sidecar/criu/watched-paths.ts'
import { describeError } from '../../../src/errors.ts'
import { quietLog as log } from '../quiet-log.ts'

const [, , pid, count, name = ''] = process.argv
const volume = '/reprieve/volume'
mkdirSync(volume)
execFileSync('mount', ['-t', 'tmpfs', 'none', volume])
const folders = Array.from({ length: Number(count) }, (_, number) => `${volume}/${number} ${name}`)
for (const folder of folders) {
  mkdirSync(folder)
  watch(folder).unref()
}
mkdirSync(`${volume}/not watched`)
const options = { launcherPid: Number(pid), root: process.pid, workFolder: '/reprieve/staging' }
const outcome = await watchedPaths({ ...options, signal: AbortSignal.timeout(60_000), log }).then(
  (paths) => ({ found: paths.length, right: paths.every((path) => folders.includes(path)) }),
  (error: unknown) => ({ error: describeError(error) }),
)
process.stdout.write(JSON.stringify(outcome))
