/** How long ago this pod began: its first process is that of the sandbox, which shares its process numbers with all containers. */
import { uptime } from 'node:os'
import { readStat } from '../../src/process-stat.ts'

const ticksASecond = 100

/** By the clock of the machine, which no correction of the time moves. 0 where it cannot be told. */
export async function podAgeMs(): Promise<number> {
  const ticks = (await readStat(1).catch(() => undefined))?.startTicks
  if (ticks === undefined || Number.isNaN(ticks)) return 0
  return Math.max(0, (uptime() - ticks / ticksASecond) * 1000)
}
