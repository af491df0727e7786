/**
 * How many programs the OOM killer takes that fill their memory as fast as they can: under the tripwire, under `memory.high` alone, and
 * under watchers that poll or wait for a PSI trigger. All in one run. The figures of several runs may be added.
 */
import { writeFileSync } from 'node:fs'
import { cgroupRoot, isLost, type BurstShape } from './lib/burst.ts'
import { percent, watchers } from './lib/burst-watchers.ts'
import { inGuestUnlessHere } from './lib/in-guest.ts'
import { report, say, type Result } from './lib/report.ts'

const words = (name: string, standard: string) => (process.env[`REPRIEVE_OOM_${name}`] || standard).split(',')
const numbers = (name: string, standard: string) => words(name, standard).map(Number)

/** How many bursts each watcher has. The shapes take turns: each thread count with each limit and each hold. */
const [runs = 0] = numbers('RUNS', '36')
const chosen = words('WATCHERS', Object.keys(watchers).join())
const allThreads = numbers('THREADS', '1,4,64')
const limitsMiB = numbers('LIMITS_MIB', '128,256,1024')
const holdsMs = numbers('HOLDS_MS', '1000,10000')

await inGuestUnlessHere(import.meta.filename, 90 * 60_000)

type Cell = { lost: number; runs: number }

const bounds: Record<string, number> = chosen.includes('tripwire') ? { lost_tripwire: 0 } : {}

await report(bounds, async (): Promise<Result> => {
  writeFileSync(`${cgroupRoot}/cgroup.subtree_control`, '+memory')
  const shapes = holdsMs.flatMap((holdMs) =>
    limitsMiB.flatMap((limitMiB) => allThreads.map((threads): BurstShape => ({ threads, limitMiB, holdMs }))),
  )
  const lost: Record<string, number> = {}
  const cells: Record<string, Cell> = {}
  for (let run = 0; run < runs; run++)
    for (const name of chosen) {
      const watch = watchers[name]
      const shape = shapes[run % shapes.length]
      if (watch === undefined || shape === undefined) throw new Error(`there is no watcher ${name}`)
      const count = (await isLost(watch, shape)) ? 1 : 0
      lost[`lost_${name}`] = (lost[`lost_${name}`] ?? 0) + count
      const cell = (cells[cellName(name, shape)] ??= { lost: 0, runs: 0 })
      cell.runs++
      cell.lost += count
      say(`${run + 1} of ${runs}: ${cellName(name, shape)}: lost ${cell.lost} of ${cell.runs}`)
    }
  return { bench: 'oom', ratios: lost, figures: { runs, percent, cells } }
})

function cellName(watcher: string, { threads, limitMiB, holdMs }: BurstShape): string {
  return `${watcher}: ${threads} threads, ${limitMiB} MiB, ${holdMs} ms`
}
