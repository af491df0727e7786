/** A benchmark's last words, and how it begins and ends. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describeError } from '../../src/errors.ts'
import { compile } from '../../test/harness/native.ts'

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

/**
 * Both sides begin with a quiet disk, and with free memory that the machine really has. A virtual machine's host takes free pages
 * back (virtio-balloon's free page reporting, `/sys/module/page_reporting`), and the first touch of such a page costs
 * several times a copy: 4 GiB of images took from 1.5 to 11 s of pure system time, as many pages as happened to be gone.
 * @param mebibytes what the measured work is about to write
 */
export async function settle(mebibytes: number): Promise<void> {
  execFileSync('sync')
  execFileSync(await compile(touchSource), [String(mebibytes + spareMebibytes)])
}
const touchSource = join(import.meta.dirname, '../programs/touch.c')
/** For all that runs beside: each page is the last that was given back, so it is the first that is handed out. */
const spareMebibytes = 512

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
