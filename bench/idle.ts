/**
 * What the watch of the memory costs while nothing happens. In a guest with cgroups of version 2: the processor time of a program that
 * allocates and gives back all the time below the threshold, with the throttle set over without, slice by slice in turn. In a pod here:
 * the resident memory and the processor time of the whole sidecar.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { compile } from '../test/harness/native.ts'
import { cgroupVersion } from '../test/harness/cgroup.ts'
import { MemoryCgroup } from '../sidecar/triggers/memory/memory-cgroup.ts'
import { Tripwire } from '../sidecar/triggers/memory/tripwire.ts'
import { readStatNow } from '../src/process-stat.ts'
import { median } from './lib/beats.ts'
import { runInGuest } from './lib/in-guest.ts'
import { report, round, type Result } from './lib/report.ts'
import { sidecar, Stage } from './lib/stage.ts'
import type { Pod } from '../test/harness/pod.ts'

const limitMiB = 128
/** Of the limit; the threshold is at 85. */
const toothMiB = 64
const teeth = 30
const slices = 50
const idleMs = 60_000
const guestDeadlineMs = 20 * 60_000

if (process.argv.includes('--slowdown')) {
  process.stdout.write(`${JSON.stringify(await slowdown())}\n`)
  process.exit()
}

await report(
  { app_slowdown: 1.01, sidecar_rss_MiB: 60, sidecar_cpu_percent: 0.5 },
  async (): Promise<Result> => {
    const { ratio, withMs, withoutMs } = cgroupVersion === 2 ? await slowdown() : await slowdownInGuest()
    const stage = await Stage.open()
    try {
      const pod = await stage.runToFirstBeat('idle', 64)
      await delay(10_000)
      const before = processorMs(pod)
      await delay(idleMs)
      const used = processorMs(pod) - before
      return {
        bench: 'idle',
        ratios: {
          app_slowdown: ratio,
          sidecar_rss_MiB: round(residentMiB(pod)),
          sidecar_cpu_percent: round((100 * used) / idleMs),
        },
        figures: {
          withThrottleMs: withMs,
          withoutThrottleMs: withoutMs,
          slices,
          cgroupVersionOfPod: cgroupVersion,
        },
      }
    } finally {
      await stage.close()
    }
  },
)

type Slowdown = { ratio: number; withMs: number; withoutMs: number }

async function slowdownInGuest(): Promise<Slowdown> {
  const { code, said } = await runInGuest(import.meta.filename, ['--slowdown'], guestDeadlineMs)
  if (code !== 0) throw new Error(`the guest's part ended with ${code}`)
  return JSON.parse(said.trim()) as Slowdown
}

async function slowdown(): Promise<Slowdown> {
  writeFileSync('/sys/fs/cgroup/cgroup.subtree_control', '+memory')
  const scratch = mkdtempSync('/var/tmp/reprieve-idle-')
  const folder = join('/sys/fs/cgroup', scratch.slice(scratch.lastIndexOf('/') + 1))
  mkdirSync(folder)
  writeFileSync(`${folder}/memory.max`, String(limitMiB * 1024 ** 2))
  const program = await compile(join(import.meta.dirname, '../test/programs/sawtooth.c'))
  const words = [String(toothMiB), String(teeth), String(slices)]
  const child = spawn('sh', ['-c', 'echo $$ >"$0/cgroup.procs" && exec "$@"', folder, program, ...words], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = new Promise((resolve) => child.on('exit', resolve))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const took = { with: [] as number[], without: [] as number[] }
  const options = { cgroup: new MemoryCgroup(2, folder), percent: 85, recordFile: join(scratch, 'throttle'), crossed: async () => undefined, log: pino({ level: 'silent' }) } // prettier-ignore
  for (let slice = 1; slice <= slices; slice++) {
    const wire = slice % 2 === 0 ? new Tripwire(options) : undefined
    await wire?.start()
    child.stdin.write('\n')
    const { value } = await lines.next()
    const us = Number(/^slice \d+ (\d+)$/.exec(String(value))?.[1])
    await wire?.stop()
    // The first of each warms up.
    if (slice > 2) took[wire === undefined ? 'without' : 'with'].push(us / 1000)
  }
  await ended
  rmdirSync(folder)
  rmSync(scratch, { recursive: true })
  const [withMs, withoutMs] = [median(took.with), median(took.without)]
  return { ratio: round(withMs / withoutMs), withMs: round(withMs), withoutMs: round(withoutMs) }
}

function sidecarNode(pod: Pod): number {
  const found = pod.container(sidecar).processes().find((pid) => /^Name:\t(node|MainThread)$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) // prettier-ignore
  if (found === undefined) throw new Error(`no Node process in the sidecar\n${pod.describe()}`)
  return found
}

function residentMiB(pod: Pod): number {
  return (
    Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${sidecarNode(pod)}/status`, 'utf8'))?.[1]) / 1024
  )
}

function processorMs(pod: Pod): number {
  return readStatNow(sidecarNode(pod))?.cpuMs ?? Number.NaN
}
