/** How much the webhook takes on at a time. What is beyond it is answered at once (webhook/overload.ts). */
import type { ConfigReader } from './config-reader.ts'
import { parseDurationMs } from './duration.ts'
import { parseQuantityBytes } from './quantity.ts'

export type OverloadConfig = Readonly<{
  /** Reviews that are being received, decided on or waiting for a registry. */
  requests: number
  /** Of their bodies; parsed, each is several times as much. */
  bytes: number
  /** How late the event loop may be, which is how long a review has waited before it is seen. */
  delayMs: number
}>

/** No less than one body may have (webhook/server.ts): each must be able to come through. */
const leastBytes = 10 * 1024 ** 2
const delayRangeMs = { from: 100, to: 10_000 }

export function readOverload(section: ConfigReader): OverloadConfig {
  const read = {
    requests: section.whole('requests', 1000, { from: 1, to: 100_000 }),
    bytes: section.parsed('bytes', 32 * 1024 ** 2, 'a quantity from 10Mi, as a text', (text) => {
      const bytes = parseQuantityBytes(text)
      return bytes !== undefined && bytes >= leastBytes ? bytes : undefined
    }),
    delayMs: section.parsed('delay', 3000, 'a duration from 100ms to 10s', (text) => {
      const ms = parseDurationMs(text)
      return ms !== undefined && ms >= delayRangeMs.from && ms <= delayRangeMs.to ? ms : undefined
    }),
  }
  section.refuseOthers()
  return read
}
