/** Slots that were left some time ago. */
import { lutimesSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

export const day = 86_400_000
export const week = 7 * day

/** Makes everything in a folder so much older. */
export function age(folder: string, ms: number): void {
  const then = new Date(Date.now() - ms)
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  for (const name of [...names.toReversed(), '']) lutimesSync(join(folder, name), then, then)
}
