import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { must } from '../../../scripts/command.ts'
import { rearmExpiredTimers, withTimersRearmed } from '../../../sidecar/criu/expired-timers.ts'
import { encodeMessage, encodeNumber, fieldsOf } from '../../../sidecar/criu/protobuf.ts'
import { quietLog } from '../quiet-log.ts'
import { imageOf } from './image-of.ts'

/** images/timerfd.proto, from `id` to `insec`. */
type Timer = { ticks: number; flags?: number; value: [number, number]; interval: [number, number] }

function timerEntry(id: number, { ticks, flags = 0, value, interval }: Timer): Buffer {
  const owner = encodeMessage(3, Buffer.concat([1, 2, 3, 4, 5].map((field) => encodeNumber(field, 0))))
  const numbers = [1, ticks, flags, ...value, ...interval].map((one, index) => encodeNumber(4 + index, one))
  const timer = Buffer.concat([encodeNumber(1, id), encodeNumber(2, 0x802), owner, ...numbers])
  return Buffer.concat([encodeNumber(1, 17), encodeNumber(2, id), encodeMessage(12, timer)])
}

const regular = Buffer.concat([encodeNumber(1, 1), encodeNumber(2, 9), encodeMessage(3, encodeMessage(6, Buffer.from('/a')))]) // prettier-ignore

const second: [number, number] = [1, 250_000_000]

t.test(
  'a periodic timer that expired and was not read is due in one interval, and nothing else changes',
  async (t) => {
    const expired = { ticks: 3, value: [0, 0] as [number, number], interval: second }
    const rearmed = withTimersRearmed(imageOf(regular, timerEntry(300, expired), regular))
    t.same(rearmed, {
      changed: 1,
      image: imageOf(regular, timerEntry(300, { ...expired, value: second }), regular),
    })
  },
)

t.test('every other timer stays as CRIU wrote it', async (t) => {
  const others: Record<string, Timer> = {
    'one that runs': { ticks: 0, value: [0, 500], interval: second },
    'one that runs, with ticks that nobody has read': { ticks: 1, value: [0, 500], interval: second },
    'one that is switched off': { ticks: 0, value: [0, 0], interval: second },
    'one that fired once': { ticks: 1, value: [0, 0], interval: [0, 0] },
    'one of absolute time': { ticks: 1, flags: 1, value: [0, 0], interval: second },
  }
  for (const [name, timer] of Object.entries(others))
    t.equal(withTimersRearmed(imageOf(timerEntry(1, timer))), undefined, name)
  t.equal(withTimersRearmed(imageOf()), undefined)
})

t.test('what is no image of files is left as it is, and that is told', async (t) => {
  const image = imageOf(timerEntry(1, { ticks: 1, value: [0, 0], interval: second }))
  t.throws(() => withTimersRearmed(Buffer.from('something else')), /does not begin as/)
  t.throws(() => withTimersRearmed(image.subarray(0, -1)), /cut short/)
  t.throws(() => withTimersRearmed(imageOf(Buffer.from([8, 17, 0x62, 9, 8]))), /field 12 is cut short/)
  t.throws(() => fieldsOf(Buffer.from([0x0b])), /field 1 is of the unknown kind 3/)
  t.throws(() => fieldsOf(Buffer.from([0x08, 0x80])), /a number is cut short/)
  t.throws(() => fieldsOf(Buffer.alloc(12, 0xff)), /longer than ten bytes/)
  const folder = mkdtempSync(join(tmpdir(), 'reprieve-timers-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  await rearmExpiredTimers(folder, quietLog)
  writeFileSync(join(folder, 'files.img'), image.subarray(0, -1))
  await rearmExpiredTimers(folder, quietLog)
  t.same(readFileSync(join(folder, 'files.img')), image.subarray(0, -1))
  writeFileSync(join(folder, 'files.img'), image)
  await rearmExpiredTimers(folder, quietLog)
  t.same(readFileSync(join(folder, 'files.img')), withTimersRearmed(image)?.image)
})

t.test('fields of every kind are read, however large', async (t) => {
  for (const value of [0, 127, 128, 300, 2 ** 32, 2 ** 45 + 7])
    t.equal(fieldsOf(encodeNumber(15, value))[0]?.value, value)
  const fixed = Buffer.concat([
    Buffer.from([0x09, ...Buffer.alloc(8)]),
    Buffer.from([0x15, ...Buffer.alloc(4)]),
  ])
  t.same(fieldsOf(fixed).map(({ number, raw }) => [number, raw.length]), [[1, 9], [2, 5]]) // prettier-ignore
})

t.test('a disk too full for the mend keeps the image as it was', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reprieve-timers-'))
  await must(['mount', '-t', 'tmpfs', '-o', 'size=16k', 'none', folder])
  t.teardown(async () => {
    await must(['umount', folder])
    rmSync(folder, { recursive: true })
  })
  const image = imageOf(
    timerEntry(1, { ticks: 1, value: [0, 0], interval: second }),
    ...Array.from({ length: 600 }, () => regular),
  )
  t.ok(image.length > 8192, 'there is no room for another one')
  writeFileSync(join(folder, 'files.img'), image)
  await rearmExpiredTimers(folder, quietLog)
  t.ok(readFileSync(join(folder, 'files.img')).equals(image))
  t.same(readdirSync(folder), ['files.img'])
})
