/** As much of protocol buffers as it takes to change a number in one of CRIU's images. https://protobuf.dev/programming-guides/encoding/ */

/** `raw` is all of it with its key. `value` of a varint; `bytes` of what has a length. */
export type Field = { number: number; raw: Buffer; value: number; bytes: Buffer }

const [varint, fixed64, delimited, fixed32] = [0, 1, 2, 5]
const none: Buffer = Buffer.alloc(0)

/** @throws Error for what is no message, or cut short */
export function fieldsOf(message: Buffer): Field[] {
  const fields: Field[] = []
  for (let at = 0; at < message.length;) {
    const start = at
    const next = () => {
      const number = readVarint(message, at)
      at = number.end
      return number.value
    }
    const key = next()
    const [number, wire] = [Math.floor(key / 8), key % 8]
    let value = 0
    let bytes = none
    if (wire === varint) value = next()
    else if (wire === delimited) {
      const length = next()
      bytes = message.subarray(at, at + length)
      at += length
    } else if (wire === fixed64) at += 8
    else if (wire === fixed32) at += 4
    else throw new Error(`field ${number} is of the unknown kind ${wire}`)
    if (at > message.length) throw new Error(`field ${number} is cut short`)
    fields.push({ number, raw: message.subarray(start, at), value, bytes })
  }
  return fields
}

export function encodeNumber(number: number, value: number): Buffer {
  return Buffer.concat([encodeVarint(number * 8 + varint), encodeVarint(value)])
}

export function encodeMessage(number: number, message: Buffer): Buffer {
  return Buffer.concat([encodeVarint(number * 8 + delimited), encodeVarint(message.length), message])
}

/** Beyond 2^53 its last digits are lost: no number of that size is looked at here. */
function readVarint(from: Buffer, start: number): { value: number; end: number } {
  let value = 0
  for (let at = start, unit = 1; at < start + 10; at++, unit *= 128) {
    const byte = from[at]
    if (byte === undefined) throw new Error('a number is cut short')
    value += (byte & 127) * unit
    if (byte < 128) return { value, end: at + 1 }
  }
  throw new Error('a number is longer than ten bytes')
}

function encodeVarint(value: number): Buffer {
  const bytes: number[] = []
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
  return Buffer.from([...bytes, Math.floor(value / 128 ** bytes.length)])
}

/**
 * Changes the fields of one number.
 * @param change returns a field's new bytes, key included, or undefined where it stays
 * @returns undefined where all stay
 */
export function withChanged(
  message: Buffer,
  number: number,
  change: (field: Field) => Buffer | undefined,
): Buffer | undefined {
  let isChanged = false
  const parts = fieldsOf(message).map((field) => {
    const changed = field.number === number ? change(field) : undefined
    isChanged ||= changed !== undefined
    return changed ?? field.raw
  })
  return isChanged ? Buffer.concat(parts) : undefined
}

/** The same for messages inside of it: `change` is of one's content. */
export function withMessagesChanged(
  message: Buffer,
  number: number,
  change: (content: Buffer) => Buffer | undefined,
): Buffer | undefined {
  return withChanged(message, number, ({ bytes }) => {
    const changed = change(bytes)
    return changed === undefined ? undefined : encodeMessage(number, changed)
  })
}
