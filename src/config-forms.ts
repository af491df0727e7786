/**
 * The forms of texts in the configuration that a regular expression cannot check, as formats of JSON Schema: their names, and what the rest of
 * the program reads such a text as. Each schema says in `expected` what it accepts, for the message about a text that it refuses.
 */
import { isIP } from 'node:net'
import { Type, type StringOptions } from '@sinclair/typebox'
import { parseDurationMs } from './duration.ts'
import { parseQuantityBytes, parseQuantityNanos } from './quantity.ts'

/** By name: whether a text has the form. Ajv is given all of them. */
export const formats = new Map<string, (text: string) => boolean>()

/** Its name in schemas is `host-or-range`: what look-ups may be let in to. */
const hostForm = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?$/
formats.set('host-or-range', (text) => {
  const [address = '', bits = '', ...more] = text.split('/')
  if (!text.includes('/')) return isIP(text) !== 0 || hostForm.test(text)
  const most = isIP(address) === 6 ? 128 : 32
  return isIP(address) !== 0 && more.length === 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= most
})

type About = StringOptions & { description: string; default?: string }

/** @param example e.g. `, for example 90s` */
export function duration(from: string, to: string, example: string, about: About) {
  const [least, most] = [durationMs(from), durationMs(to)]
  const expected = `a duration from ${from} to ${to}${example}`
  return formatted(`duration-from-${from}-to-${to}`, expected, about, (text) => {
    const ms = parseDurationMs(text)
    return ms !== undefined && ms >= least && ms <= most
  })
}

/** @param from in bytes */
export function quantityFrom(from: string, about: About) {
  const least = parseQuantityBytes(from) ?? 0
  return formatted(`quantity-from-${from}`, `a quantity from ${from}, as a text`, about, (text) => {
    const bytes = parseQuantityBytes(text)
    return bytes !== undefined && bytes >= least
  })
}

export function amount(about: About) {
  return formatted('quantity-above-0', 'a quantity above 0, as a text', about, (text) => (parseQuantityNanos(text) ?? 0n) > 0n) // prettier-ignore
}

export function bytesAbove0(about: About) {
  const expected = 'a quantity above 0, as a text, for example 16Gi'
  return formatted('bytes-above-0', expected, about, (text) => (parseQuantityBytes(text) ?? 0) > 0)
}

export function evictionThreshold(about: About) {
  const expected =
    'a quantity above 0 or a percentage between 0% and 100%, as a text, for example 500Mi or 5%'
  return formatted('eviction-threshold', expected, about, (text) => readEviction(text) !== undefined)
}

export function endpoint(about: About) {
  const expected = 'an address such as http://169.254.169.254 or http://[fd00:ec2::254]:80'
  return formatted('http-endpoint', expected, about, (text) => readEndpoint(text) !== undefined)
}

function formatted(format: string, expected: string, about: About, isOfIt: (text: string) => boolean) {
  formats.set(format, isOfIt)
  return Type.String({ format, expected, ...about })
}

/** Of a text that the schema has accepted. */
export function durationMs(text: string): number {
  return parseDurationMs(text) ?? Number.NaN
}

export type Eviction = { nodeEvictionBytes: number; nodeEvictionPercent?: number }

/** As the kubelet reads it (pkg/kubelet/eviction/helpers.go, parseThresholdStatement); 0% and 100%, which it reads as "never", are refused. */
export function readEviction(text: string): Eviction | undefined {
  const [, share] = /^(\d{1,2}(?:\.\d{1,6})?)%$/.exec(text) ?? []
  if (share !== undefined)
    return Number(share) > 0 ? { nodeEvictionBytes: 0, nodeEvictionPercent: Number(share) } : undefined
  const bytes = parseQuantityBytes(text)
  return bytes === undefined || bytes === 0 ? undefined : { nodeEvictionBytes: bytes }
}

const endpointForm =
  /^http:\/\/(?:\[([0-9a-fA-F:]{2,39})\]|([A-Za-z0-9][A-Za-z0-9.-]{0,251}))(?::(\d{1,5}))?\/?$/

/** Metadata services speak plain HTTP. */
export function readEndpoint(text: string): { host: string; port: number } | undefined {
  const [, bracketed, plain, port = '80'] = endpointForm.exec(text) ?? []
  const host = bracketed ?? plain
  return host === undefined || Number(port) < 1 || Number(port) > 65_535
    ? undefined
    : { host, port: Number(port) }
}
