/** One program that fills its memory as fast as it can, in a cgroup of its own. */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { compile } from '../../test/harness/native.ts'
import type { Watch } from './burst-watchers.ts'

export type BurstShape = { threads: number; limitMiB: number; holdMs: number }

export const mebibyte = 1024 ** 2
export const cgroupRoot = '/sys/fs/cgroup'
/** Above the threshold of the first limit and below that of the raised one: each burst has one crossing. */
const filledPart = 1.2
/** Far more than an emulated machine that others use as well needs: this is no OOM kill. */
const programDeadlineMs = 600_000

/** @returns whether the OOM killer took the program. @throws Error where it did not come to its end without that */
export async function isLost(watch: Watch, shape: BurstShape): Promise<boolean> {
  const scratch = mkdtempSync('/var/tmp/reprieve-oom-')
  const folder = join(cgroupRoot, scratch.slice(scratch.lastIndexOf('/') + 1))
  mkdirSync(folder)
  writeFileSync(`${folder}/memory.max`, String(shape.limitMiB * mebibyte))
  const watching = await watch({ folder, scratch, holdMs: shape.holdMs })
  const fill = await compile(join(import.meta.dirname, '../../test/programs/fill.c'))
  const words = [String(Math.round(shape.limitMiB * filledPart)), String(shape.threads), '0']
  const child = spawn('sh', ['-c', 'echo $$ >"$0/cgroup.procs" && exec "$@"', folder, fill, ...words], {
    stdio: 'ignore',
  })
  const timer = setTimeout(() => writeFileSync(`${folder}/cgroup.kill`, '1'), programDeadlineMs)
  const code = await new Promise<number | null>((resolve) => child.on('exit', resolve))
  clearTimeout(timer)
  const killed = !/^oom_kill 0$/m.test(readFileSync(`${folder}/memory.events`, 'utf8'))
  await watching.stop()
  rmdirSync(folder)
  rmSync(scratch, { recursive: true })
  if (!killed && code !== 0) throw new Error(`the program ended with ${code}, and not by the OOM killer`)
  return killed
}
