/** Valid examples, damaged: in their bytes, and where they are JSON in their structure. The same dice give the same damage. */
import type { Dice } from '../webhook/mutated-reviews.ts'

export function pick<T>(list: readonly T[], dice: Dice): T {
  return list[dice(list.length)] as T
}

const tokens = ['null', '[]', '{}', '"', '\\u0000', '\\ud800', '-0', '1e999', '9007199254740993', ',', ':', '=', '%', '/../', ' ', '\r\n', '\0', '{"__proto__":', 'constructor'].map((one) => Buffer.from(one)) // prettier-ignore
const numbers = ['00', '7f', '80', 'ff', 'ffffffff', 'ffffffffffffffffff01', '80808080808080808080', '0000', '08', '12'].map((one) => Buffer.from(one, 'hex')) // prettier-ignore

export function damagedBytes(example: Buffer, dice: Dice): Buffer {
  let bytes = example
  for (let time = dice(4); time >= 0; time--) {
    const at = dice(bytes.length + 1)
    const length = Math.min(1 + dice(24), bytes.length - at)
    const [head, part, tail] = [bytes.subarray(0, at), bytes.subarray(at, at + length), bytes.subarray(at + length)]
    const ways = [
      () => [head, Buffer.from([dice(256)]), bytes.subarray(at + 1)],
      () => [head, tail],
      () => [head, part, part, tail],
      () => [head, pick(tokens, dice), tail],
      () => [head, pick(numbers, dice), tail],
      () => [tail, part, head],
      () => [head],
      // Long enough to show what takes time by the square.
      () => (dice(40) === 0 ? [head, ...Array.from({ length: 400 }, () => part), tail] : [head, part, tail]),
    ]
    bytes = Buffer.concat(pick(ways, dice)())
  }
  return bytes
} // prettier-ignore

const strangers: readonly unknown[] = [null, true, '', -1, 0.5, 1e308, 2 ** 53, [], {}, [null], [[]], { name: null }, 'x'.repeat(5000), '\ud800\0\n', '/../..', '2026-01-02T03:04:05Z', '-1Mi'] // prettier-ignore
const keys = ['__proto__', 'constructor', 'toString', '', '0', 'x'.repeat(300)]

/** @returns a copy of a JSON value with other values, members and names at places of chance */
export function damagedValue(value: unknown, dice: Dice): unknown {
  const root = { value: structuredClone(value) }
  for (let time = dice(3); time >= 0; time--) {
    const places = placesIn(root)
    const [owner, key] = pick(places, dice)
    const [other, otherKey] = pick(places, dice)
    const set = (name: string, given: unknown) =>
      Object.defineProperty(owner, name, {
        value: given,
        enumerable: true,
        configurable: true,
        writable: true,
      })
    const ways = [
      () => set(key, structuredClone(pick(strangers, dice))),
      () => delete owner[key],
      () => set(pick(keys, dice), structuredClone(owner[key])),
      () => set(key, [owner[key], structuredClone(owner[key])]),
      () => set(key, structuredClone(other[otherKey])),
      () => {
        const text = owner[key]
        if (typeof text === 'string') set(key, damagedBytes(Buffer.from(text), dice).toString())
      },
    ]
    pick(ways, dice)()
    if (!Object.hasOwn(root, 'value')) return undefined
  }
  // As JSON has it: what was set beside an array's items is gone.
  return JSON.parse(JSON.stringify(root.value))
}

type Owner = Record<string, unknown>

function placesIn(root: Owner): [Owner, string][] {
  const places: [Owner, string][] = []
  const walk = (owner: Owner): void => {
    for (const key of Object.keys(owner)) {
      places.push([owner, key])
      const inner = owner[key]
      if (typeof inner === 'object' && inner !== null) walk(inner as Owner)
    }
  }
  walk(root)
  return places
}
