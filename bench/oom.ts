/**
 * How many of a hundred programs are lost to the OOM killer that fill their memory as fast as they can: under the kernel's brake, and
 * under watchers that poll, who do the same when they see it in time (stand still, half as much memory again, on). All in one run.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, rmdirSync, writeFileSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { pino } from 'pino'
import { compile } from '../test/harness/native.ts'
import { MemoryCgroup } from '../sidecar/triggers/memory/memory-cgroup.ts'
import { Tripwire } from '../sidecar/triggers/memory/tripwire.ts'
import { thresholdBytes } from '../sidecar/triggers/memory/usage.ts'
import { inGuestUnlessHere } from './lib/in-guest.ts'
import { report, say, type Result } from './lib/report.ts'

const mebibyte = 1024 ** 2
const percent = 85
/** REPRIEVE_OOM_RUNS is for a first look; what is reported is out of a hundred. */
const runs = Number(process.env.REPRIEVE_OOM_RUNS ?? 100)
const programDeadlineMs = 120_000
const root = '/sys/fs/cgroup'

await inGuestUnlessHere(import.meta.filename, 90 * 60_000)

type Watcher = (folder: string, scratch: string) => Promise<{ stop: () => Promise<void> }>

const watchers: Record<string, Watcher> = {
  tripwire: async (folder, scratch) => {
    const cgroup = new MemoryCgroup(2, folder)
    const crossed = async () => {
      await standStillAndGrow(folder)
      await wire.arm()
    }
    const log = pino({ level: 'silent' })
    const wire = new Tripwire({ cgroup, percent, recordFile: join(scratch, 'brake'), crossed, log })
    await wire.start()
    return wire
  },
  poll_100ms: (folder) => poller(folder, 100),
  poll_1s: (folder) => poller(folder, 1000),
}

await report({ lost_tripwire: 0 }, async (): Promise<Result> => {
  writeFileSync(`${root}/cgroup.subtree_control`, '+memory')
  const fill = await compile(join(import.meta.dirname, '../test/programs/fill.c'))
  const lost: Record<string, number> = {}
  for (let run = 0; run < runs; run++) {
    const limitMiB = [128, 128, 256, 128, 192, 512, 128, 256, 128, 1024][run % 10] ?? 128
    const threads = run % 2 === 0 ? 1 : 4
    for (const [name, watcher] of Object.entries(watchers)) {
      const isLost = await runOnce(fill, watcher, limitMiB, threads)
      lost[`lost_${name}`] = (lost[`lost_${name}`] ?? 0) + (isLost ? 1 : 0)
    }
    if (run % 10 === 9) say(`${run + 1} of ${runs} runs: ${JSON.stringify(lost)}`)
  }
  return { bench: 'oom', ratios: lost, figures: { runs, percent, threads: [1, 4], limitMiB: [128, 1024] } }
})

/** Whether the program, or any thread of it, was killed for memory, or did not come to its end. */
async function runOnce(fill: string, watcher: Watcher, limitMiB: number, threads: number): Promise<boolean> {
  const scratch = mkdtempSync('/var/tmp/reprieve-oom-')
  const folder = join(root, scratch.slice(scratch.lastIndexOf('/') + 1))
  mkdirSync(folder)
  writeFileSync(`${folder}/memory.max`, String(limitMiB * mebibyte))
  const watching = await watcher(folder, scratch)
  const words = [String(limitMiB * 1.5), String(threads), '0']
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
  return killed || code !== 0
}

async function poller(folder: string, everyMs: number): Promise<{ stop: () => Promise<void> }> {
  let looking: Promise<void> | undefined
  const look = async () => {
    const [used, limit] = ['memory.current', 'memory.max'].map((file) => Number(readFileSync(`${folder}/${file}`, 'utf8'))) // prettier-ignore
    if ((used ?? 0) >= thresholdBytes(limit ?? 0, percent)) await standStillAndGrow(folder)
  }
  const timer = setInterval(() => {
    looking ??= look().finally(() => (looking = undefined))
  }, everyMs)
  return {
    stop: async () => {
      clearInterval(timer)
      await looking
    },
  }
}

async function standStillAndGrow(folder: string): Promise<void> {
  const cgroup = new MemoryCgroup(2, folder)
  await cgroup.freeze()
  writeFileSync(`${folder}/memory.max`, String((await cgroup.limitBytes()) * 1.5))
  await cgroup.thaw()
}
