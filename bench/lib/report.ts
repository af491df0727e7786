/** A benchmark's last words, and how it begins and ends. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describeError } from '../../src/errors.ts'

export type Result = {
  bench: string
  /** What is promised: ours over a peer, measured in this same run. */
  ratios: Record<string, number>
  /** Everything that was measured, with its unit in its name. */
  figures: Record<string, unknown>
}

/** What a ratio may be at most, or must be at least. */
export type Limit = number | { least: number }

/** @param limits a ratio beyond its limit is told, and makes the benchmark fail */
export async function report(limits: Record<string, Limit>, measure: () => Promise<Result>): Promise<void> {
  const interrupted = Promise.withResolvers<never>()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => interrupted.reject(new Error(`interrupted by ${signal}`)))
  try {
    const result = await Promise.race([measure(), interrupted.promise])
    for (const [name, limit] of Object.entries(limits)) {
      const ratio = result.ratios[name]
      const [bound, isMet] =
        typeof limit === 'number'
          ? [String(limit), ratio !== undefined && ratio <= limit]
          : [`at least ${limit.least}`, ratio !== undefined && ratio >= limit.least]
      say(`${name} = ${ratio ?? 'nothing'}: the bound of ${bound} ${isMet ? 'is met' : 'is MISSED'}`)
      if (!isMet) process.exitCode = 1
    }
    process.stdout.write(`${JSON.stringify({ ...result, limits })}\n`)
  } catch (error) {
    process.stderr.write(`bench: ${describeError(error)}\n`)
    process.exitCode = 1
  } finally {
    // What an interrupted measurement left; after a whole one there is nothing.
    for (const clear of toClear.splice(0).toReversed())
      await clear().catch((error) => say(describeError(error)))
  }
  // An interrupted one may still wait for something that will not come.
  process.exit()
}

const toClear: (() => Promise<void>)[] = []

/** To be called at the end, also when the benchmark is interrupted. */
export function clearAtEnd(clear: () => Promise<void>): void {
  toClear.push(clear)
}

export function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`)
}

/** Both sides begin with a quiet disk. */
export function settleDisk(): void {
  execFileSync('sync')
}

/** @throws Error, since what is swapped or killed for memory measures nothing */
export function requireMemory(mebibytes: number, what: string): void {
  const available =
    Number(/^MemAvailable:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]) / 1024
  if (available < mebibytes)
    throw new Error(
      `${what} needs ${mebibytes} MiB of free memory, and this machine has ${Math.floor(available)} MiB`,
    )
}

/** To three digits after the point. */
export function round(value: number): number {
  return Math.round(value * 1000) / 1000
}
