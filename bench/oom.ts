/**
 * How many programs the OOM killer takes that fill their memory as fast as they can: under the tripwire, under `memory.high` alone, and
 * under watchers that poll or wait for a PSI trigger. All in one run; or in parts, whose figures are added.
 */
import { writeFileSync } from 'node:fs'
import { cgroupRoot, isLost, type BurstShape } from './lib/burst.ts'
import { percent, watchers } from './lib/burst-watchers.ts'
import { inGuestUnlessHere } from './lib/in-guest.ts'
import { report, say, type Result } from './lib/report.ts'

const { REPRIEVE_OOM_RUNS, REPRIEVE_OOM_WATCHERS, REPRIEVE_OOM_HOLDS_MS, REPRIEVE_OOM_PART } = process.env
const words = (text: string | undefined, standard: string) => (text || standard).split(',')

/** How many bursts each watcher has; the shapes take turns. */
const runs = Number(REPRIEVE_OOM_RUNS || 36)
const chosen = words(REPRIEVE_OOM_WATCHERS, Object.keys(watchers).join())
const holdsMs = words(REPRIEVE_OOM_HOLDS_MS, '1000,10000').map(Number)
/** `2/8` runs the second of eight equal parts. */
const [part = 1, parts = 1] = words(REPRIEVE_OOM_PART, '1/1').flatMap((text) => text.split('/').map(Number))
const allThreads = [1, 4, 64]
const limitsMiB = [128, 256, 1024]

await inGuestUnlessHere(import.meta.filename, 90 * 60_000)

type Cell = { lost: number; runs: number }

await report({ lost_tripwire: 0 }, async (): Promise<Result> => {
  writeFileSync(`${cgroupRoot}/cgroup.subtree_control`, '+memory')
  const shapes = holdsMs.flatMap((holdMs) =>
    limitsMiB.flatMap((limitMiB) => allThreads.map((threads): BurstShape => ({ threads, limitMiB, holdMs }))),
  )
  const lost: Record<string, number> = {}
  const cells: Record<string, Cell> = {}
  for (let run = part - 1; run < runs; run += parts)
    for (const name of chosen) {
      const watch = watchers[name]
      const shape = shapes[run % shapes.length]
      if (watch === undefined || shape === undefined) throw new Error(`there is no watcher ${name}`)
      const count = (await isLost(watch, shape)) ? 1 : 0
      lost[`lost_${name}`] = (lost[`lost_${name}`] ?? 0) + count
      const cell = (cells[cellName(name, shape)] ??= { lost: 0, runs: 0 })
      cell.runs++
      cell.lost += count
      say(`${cellName(name, shape)}: ${count === 1 ? 'lost' : 'held'}; ${cell.lost} of ${cell.runs}`)
    }
  return { bench: 'oom', ratios: lost, figures: { runs, part: `${part}/${parts}`, percent, cells } }
})

function cellName(watcher: string, { threads, limitMiB, holdMs }: BurstShape): string {
  return `${watcher}: ${threads} threads, ${limitMiB} MiB, ${holdMs} ms`
}
