/** Readers of images for checks: what CRIU could read in another way than they do is an error. */
import { fieldsOf, type Field } from '../criu/protobuf.ts'

/** criu/include/magic.h: IMG_COMMON_MAGIC, and CORE_MAGIC or SECCOMP_MAGIC. */
const magic = {
  task: Buffer.from('1943565447380555', 'hex'),
  filters: Buffer.from('1943565449304164', 'hex'),
} as const
export const magicLength = 8

/** @throws Error for an image of another kind, or of another number of entries */
export function onlyEntryOf(image: Buffer, kind: keyof typeof magic): Buffer {
  if (!image.subarray(0, magicLength).equals(magic[kind])) throw new Error('it is an image of another kind')
  const start = magicLength + 4
  if (image.length < start || image.readUInt32LE(magicLength) !== image.length - start)
    throw new Error('it does not have one entry')
  return image.subarray(start)
}

/** protobuf-c reads a key in 32 bits, and so a field beyond as another one. */
export function fieldsIn(message: Buffer): Field[] {
  const fields = fieldsOf(message)
  if (fields.some(({ number }) => number < 1 || number >= 2 ** 29)) throw new Error('a field has no number')
  return fields
}

/** One number, or several in a packed field. */
export function numbersIn({ raw, value, bytes }: Field): number[] {
  const wire = (raw[0] ?? 0) % 8
  // A packed field is read as its numbers, each behind a key of its own.
  const list = wire === 2 ? unpacked(bytes) : [value]
  if (![0, 2].includes(wire) || list.some((one) => one >= 2 ** 32))
    throw new Error('a number has another form')
  return list
}

/** The number of an optional field; undefined where it is not there. */
export function optionalNumber(fields: readonly Field[], number: number): number | undefined {
  const [own, ...more] = fields.filter((field) => field.number === number)
  if (own === undefined) return undefined
  if (more.length > 0 || (own.raw[0] ?? 0) % 8 !== 0) throw new Error('a number is there twice')
  return numbersIn(own)[0]
}

function unpacked(bytes: Buffer): number[] {
  const list: Buffer[] = []
  let start = 0
  for (const [at, byte] of bytes.entries()) {
    if (byte >= 128) continue
    list.push(Buffer.concat([Buffer.from([8]), bytes.subarray(start, at + 1)]))
    start = at + 1
  }
  if (start !== bytes.length) throw new Error('a number is cut short')
  return list.flatMap((one) => fieldsOf(one).map(({ value }) => value))
}
