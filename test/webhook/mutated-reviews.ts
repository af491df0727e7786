/** Recorded reviews, damaged: in their bytes, and in their structure. The same seed gives the same reviews. */
import { recordedReviews } from './admission-fixtures.ts'

/** A small generator of numbers (mulberry32): a failure can be had again by its seed, which a million of them must stay cheap for. */
export type Dice = (sides: number) => number

export function diceOf(seed: number): Dice {
  let state = seed >>> 0
  return (sides) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % sides
  }
}

const reviews = recordedReviews().map(({ text }) => text)

export function mutatedReview(dice: Dice): string {
  const text = pick(reviews, dice)
  const times = 1 + dice(4)
  return dice(3) === 0 ? damagedBytes(text, times, dice) : damagedStructure(text, times, dice)
}

function damagedBytes(text: string, times: number, dice: Dice): string {
  let bytes = Buffer.from(text)
  for (let time = 0; time < times; time++) {
    const at = dice(bytes.length)
    const length = Math.min(1 + dice(64), bytes.length - at)
    const part = bytes.subarray(at, at + length)
    const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at + length)]
    const ways = [
      () => [head, Buffer.from([dice(256)]), bytes.subarray(at + 1)],
      () => [head, tail],
      () => [head, part, part, tail],
      () => [head, Buffer.from(pick(tokens, dice)), tail],
      () => [tail, part, head],
      // Rarely: what is cut off early is never looked at.
      () => (dice(10) === 0 ? [head] : [head, part, tail]),
    ]
    bytes = Buffer.concat(pick(ways, dice)())
    if (bytes.length === 0) return ''
  }
  // As bytes that are no UTF-8 reach a server: it sees replacement characters.
  return bytes.toString('utf8')
}

const tokens = [
  'null',
  '[]',
  '{}',
  '"',
  '\\u0000',
  '\\ud800',
  '-0',
  '1e999',
  ',',
  ':',
  '{"__proto__":',
  '"constructor"',
  '\n',
]

const strangers: ((dice: Dice) => unknown)[] = [
  () => null,
  () => true,
  () => '',
  () => -1,
  () => 1e308,
  () => 2 ** 53,
  () => [],
  () => ({}),
  () => [null],
  () => ({ name: null }),
  () => 'reprieve-sidecar',
  () => 'reprieve.dev/checkpoint',
  () => '/reprieve/../reprieve/bin',
  () => '💥\u0000\n"\\',
  () => '\ud800',
  (dice) => 'x'.repeat(dice(100_000)),
  (dice) => Array.from({ length: dice(500) }, (_, index) => ({ name: `c${index}`, command: ['x'] })),
  (dice) => nested(dice(200)),
  () =>
    JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}') as unknown,
]

const strangeKeys = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'metadata',
  'spec',
  'containers',
  'initContainers',
  'name',
  'annotations',
  'command',
  '',
]

type Place = { owner: Record<string, unknown>; key: string }

function damagedStructure(text: string, times: number, dice: Dice): string {
  const review = JSON.parse(text) as Record<string, unknown>
  for (let time = 0; time < times; time++) {
    const place = pick(placesIn(review), dice)
    const ways = [
      () => set(place, pick(strangers, dice)(dice)),
      () => void delete place.owner[place.key],
      () => set({ ...place, key: pick(strangeKeys, dice) }, place.owner[place.key]),
      () => set(place, [place.owner[place.key], place.owner[place.key]]),
      () => {
        const other = pick(placesIn(review), dice)
        // A copy: a thing in itself would have no end.
        set(place, structuredClone(other.owner[other.key]))
      },
    ]
    pick(ways, dice)()
  }
  return JSON.stringify(review)
}

/** An own member, whatever it is called. */
function set({ owner, key }: Place, value: unknown): void {
  Object.defineProperty(owner, key, { value, enumerable: true, configurable: true, writable: true })
}

function placesIn(root: Record<string, unknown>): Place[] {
  const places: Place[] = []
  const walk = (owner: Record<string, unknown>): void => {
    for (const key of Object.keys(owner)) {
      places.push({ owner, key })
      const inner = owner[key]
      if (typeof inner === 'object' && inner !== null) walk(inner as Record<string, unknown>)
    }
  }
  walk(root)
  // Something is always left to damage.
  return places.length > 0 ? places : [{ owner: root, key: 'request' }]
}

function nested(depth: number): unknown {
  let value: unknown = 'x'
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { spec: value }
  return value
}

function pick<T>(list: readonly T[], dice: Dice): T {
  return list[dice(list.length)] as T
}
