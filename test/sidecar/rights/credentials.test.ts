import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { excessIn, parseAllowance, requireOwnCredentials } from '../../../sidecar/rights/credentials.ts'
import { encodeMessage, encodeNumber } from '../../../sidecar/criu/protobuf.ts'
import { quietLog } from '../quiet-log.ts'

const [low, high, sysAdmin] = [0xa80425fb, 0x100, 2 ** 21]

/** /proc/PID/status of a launcher. */
const statusOf = (more: Record<string, string> = {}) =>
  Object.entries({
    Uid: '1000\t1000\t1000\t1000',
    Gid: '1000\t1000\t1000\t1000',
    Groups: '1000 2000 ',
    CapInh: '0000000000000000',
    CapPrm: '0000000000000000',
    CapBnd: '00000100a80425fb',
    NoNewPrivs: '0',
    Seccomp: '0',
    ...more,
  })
    .map(([key, value]) => `${key}:\t${value}\n`)
    .join('')

/** As CRIU writes them, by field; several values are several fields. */
type Creds = Record<number, number | number[] | string>
const plain: Creds = {
  1: 1000, 2: 1000, 3: 1000, 4: 1000, 5: 1000, 6: 1000, 7: 1000, 8: 1000,
  9: [0, 0], 10: [0, 0], 11: [0, 0], 12: [low, high], 13: 0, 14: [1000, 2000], 18: 0, 19: [0, 0],
} // prettier-ignore

function credsOf(creds: Creds): Buffer {
  return Buffer.concat(
    Object.entries(creds).flatMap(([number, value]) =>
      typeof value === 'string'
        ? [encodeMessage(Number(number), Buffer.from(value))]
        : [value].flat().map((one) => encodeNumber(Number(number), one)),
    ),
  )
}

function imageOf(creds: Buffer[]): Buffer {
  const thread = creds.map((one) => encodeMessage(10, one))
  const process = encodeMessage(3, encodeNumber(1, 1))
  return framed(Buffer.concat([encodeNumber(1, 1), process, encodeMessage(5, Buffer.concat(thread))]))
}

function framed(entry: Buffer): Buffer {
  const head = Buffer.from('194356544738055500000000', 'hex')
  head.writeUInt32LE(entry.length, 8)
  return Buffer.concat([head, entry])
}

const judge = (creds: Creds, status: Record<string, string> = {}, profile = '') =>
  excessIn(imageOf([credsOf({ ...plain, ...creds })]), parseAllowance(statusOf(status), profile))

const strict = { NoNewPrivs: '1' }
const root = { Uid: '0\t0\t0\t0', Gid: '0\t0\t0\t0', CapPrm: '00000100a80425fb' }

t.test('what a container itself can come to have is restored', async (t) => {
  t.equal(judge({}), undefined)
  t.equal(judge({ 1: 0, 3: 0, 10: [low, high], 11: [low, high] }), undefined, 'it ran a set-user-id program')
  t.equal(judge({ 18: 1 }, strict), undefined)
  t.equal(judge({ 1: 33, 2: 33, 14: [33], 10: [low, 0] }, root), undefined, 'root became another user')
  t.equal(judge({ 1: 33, 10: [low, 0], 18: 1 }, { ...root, ...strict }), undefined)
  t.equal(judge({ 13: 16 }), undefined, 'it keeps its capabilities')
  t.equal(judge({ 15: 'kept (enforce)' }, {}, 'kept (enforce)\n'), undefined)
})

t.test('what is beyond the container is refused', async (t) => {
  for (const field of [9, 10, 11, 12, 19]) {
    t.match(judge({ [field]: [low + sysAdmin, high] }, root), /capabilities/, `${field}, SYS_ADMIN`)
    t.match(judge({ [field]: [0, 0x80] }, root), /capabilities/, `${field}, BPF`)
  }
  for (const field of [1, 3, 5, 7]) t.match(judge({ [field]: 0, 18: 1 }, strict), /user id 0/, `${field}`)
  for (const field of [2, 4, 6, 8, 14])
    t.match(judge({ [field]: 0, 18: 1 }, strict), /group id 0/, `${field}`)
  for (const field of [10, 11, 19])
    t.match(judge({ [field]: [1, 0], 18: 1 }, strict), /capabilities/, `${field} against no_new_privs`)
  t.match(judge({}, strict), /no_new_privs/)
  t.match(judge({ 18: [1, 0] }, strict), /no_new_privs/, 'the last one counts')
  t.match(judge({ 12: [0, 0], 13: 47 }, { CapBnd: '0' }), /securebits/)
  t.match(judge({ 15: 'unconfined' }, {}, 'kept (enforce)\n'), /LSM/)
  t.match(judge({ 16: 'other' }), /LSM/)
  t.match(judge({ 17: 'policy' }), /does not know/)
  t.match(judge({ 20: 1 }), /does not know/)
})

/** What CRIU writes of a process that waits to be reaped. */
function zombie(...states: number[]): Buffer {
  const process = Buffer.concat(states.map((state) => encodeNumber(1, state)))
  return Buffer.concat([encodeNumber(1, 1), encodeMessage(3, process)])
}

t.test('a process that has ended, and that nobody has reaped yet, has no credentials', async (t) => {
  const allowance = parseAllowance(statusOf({ ...strict, Seccomp: '2' }), '')
  t.equal(excessIn(framed(zombie(2)), allowance), undefined)
  for (const [what, entry] of [
    ['one that runs', zombie(1)],
    ['one that is stopped', zombie(3)],
    ['no state', zombie()],
    ['the last one counts', zombie(2, 1)],
    ['two that are merged', Buffer.concat([zombie(2), encodeMessage(3, encodeNumber(1, 1))])],
    ['more than 32 bits', zombie(2 + 2 ** 32)],
    ['with a thread', Buffer.concat([zombie(2), encodeMessage(5, encodeMessage(10, credsOf(plain)))])],
  ] as const)
    t.type(excessIn(framed(entry), allowance), 'string', what)
})

const thread = (creds: Buffer) => encodeMessage(5, encodeMessage(10, creds))
const packed = (words: number[]) =>
  encodeMessage(10, Buffer.concat(words.map((word) => encodeNumber(0, word).subarray(1))))

t.test('what CRIU could read in another way is refused', async (t) => {
  const allowance = parseAllowance(statusOf(root), '')
  const own = credsOf(plain)
  const forged = credsOf({ ...plain, 10: [low + sysAdmin, high] })
  const { 10: _permitted, ...rest } = plain
  t.equal(excessIn(imageOf([Buffer.concat([credsOf(rest), packed([low, high])])]), allowance), undefined)
  for (const [what, image] of [
    ['packed', imageOf([Buffer.concat([credsOf(rest), packed([low + sysAdmin, high])])])],
    ['two sets', imageOf([own, forged])],
    ['two threads', framed(Buffer.concat([thread(own), thread(forged)]))],
    ['two entries', Buffer.concat([imageOf([own]), imageOf([forged]).subarray(8)])],
    ['three words', imageOf([credsOf({ ...plain, 10: [low, high, sysAdmin] })])],
    ['more than 32 bits', imageOf([credsOf({ ...plain, 10: [low + 2 ** 32, high] })])],
    [
      'a key of more than 32 bits',
      framed(Buffer.concat([thread(own), encodeMessage(2 ** 29 + 5, encodeMessage(10, forged))])),
    ],
    ['a number of a fixed length', imageOf([Buffer.concat([own, Buffer.from([10 * 8 + 5, 0, 0, 32, 0])])])],
    ['no credentials', imageOf([])],
    ['nothing', Buffer.alloc(0)],
    ['another image', Buffer.concat([Buffer.alloc(8), imageOf([own]).subarray(8)])],
    ['cut short', imageOf([own]).subarray(0, -1)],
  ] as const)
    // prettier-ignore
    t.type(excessIn(image, allowance), 'string', what)
})

t.test('each task is judged, by a code of its own; and no image beside them names others', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'rv-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const write = (name: string, image: Buffer) => writeFileSync(join(folder, name), image)
  const mine = { code: 'unfit-credentials' }
  write('core-1.img', Buffer.alloc(12))
  await t.rejects(requireOwnCredentials(folder, { launcherPid: process.pid, had: undefined }, quietLog), mine)
  rmSync(join(folder, 'core-1.img'))
  await requireOwnCredentials(folder, { launcherPid: process.pid, had: undefined }, quietLog)
  for (const name of ['creds-7.img', 'apparmor.img']) {
    write(name, Buffer.alloc(0))
    await t.rejects(requireOwnCredentials(folder, { launcherPid: process.pid, had: undefined }, quietLog), {
      ...mine,
      message: new RegExp(name),
    })
    rmSync(join(folder, name))
  }
})
