import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { restartCalls, withCallRestarted } from '../../../sidecar/criu/interrupted-calls.ts'
import { encodeMessage, encodeNumber } from '../../../sidecar/criu/protobuf.ts'
import { messageImage } from './image-of.ts'

const interrupted = Buffer.from('58fcffffffffffffffff01', 'hex')
const [poll, nanosleep, epollWait, clockNanosleep, futex] = [7, 35, 232, 230, 202]

const coreImage = (message: Buffer) => messageImage([0x54564319, 0x55053847], message)

type Registers = { call: number; di?: number; si?: number; dx?: number; r10?: number; mode?: number }

/** core_entry of a thread, with `ax` as it is or as given. */
function core(
  { call, di = 1, si = 2, dx = 3, r10 = 4, mode = 1 }: Registers,
  ax: Buffer = interrupted,
  ip = 5000,
): Buffer {
  const registers = [
    encodeNumber(8, r10),
    ax,
    encodeNumber(13, dx),
    encodeNumber(14, si),
    encodeNumber(15, di),
    encodeNumber(16, call),
    encodeNumber(17, ip),
    encodeNumber(28, mode),
  ]
  const info = Buffer.concat([encodeNumber(1, 77), encodeMessage(2, Buffer.concat(registers))])
  return Buffer.concat([encodeNumber(1, 1), encodeMessage(2, info), encodeMessage(5, encodeNumber(1, 9))])
}
const again = (registers: Registers) => core(registers, encodeNumber(11, registers.call), 4998)

t.test('a call that CRIU would have fail is begun again', async (t) => {
  for (const registers of [
    { call: poll },
    { call: futex },
    { call: nanosleep, di: 70, si: 70 },
    { call: nanosleep, si: 0 },
    { call: clockNanosleep, dx: 80, r10: 80 },
  ])
    t.strictSame(withCallRestarted(core(registers)), again(registers), JSON.stringify(registers))
})

t.test('all else stays as it is', async (t) => {
  t.equal(
    withCallRestarted(core({ call: nanosleep, di: 70, si: 71 })),
    undefined,
    'a sleep whose rest is elsewhere',
  )
  t.equal(withCallRestarted(core({ call: epollWait })), undefined, 'a call that the kernel itself ended')
  t.equal(withCallRestarted(core({ call: poll, mode: 2 })), undefined, 'one of 32 bits')
  t.equal(withCallRestarted(core({ call: poll }, encodeNumber(11, 1))), undefined, 'one that has returned')
  t.equal(withCallRestarted(encodeMessage(8, encodeNumber(2, 1))), undefined, 'another processor')
})

t.test('all threads of a checkpoint are looked at', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'cores-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'core-1.img'), coreImage(core({ call: poll })))
  writeFileSync(join(folder, 'core-2.img'), coreImage(core({ call: epollWait })))
  writeFileSync(join(folder, 'core-3.img'), coreImage(core({ call: futex })))
  writeFileSync(join(folder, 'other.img'), 'x')
  t.equal(await restartCalls(folder), 2)
  t.strictSame(readFileSync(join(folder, 'core-3.img')), coreImage(again({ call: futex })))
})
