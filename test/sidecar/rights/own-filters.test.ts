import t from 'tap'
import {
  parseFilters,
  processesIn,
  threadOf,
  withBase,
  type Thread,
} from '../../../sidecar/rights/own-filters.ts'
import { chainsIn, type Chain } from '../../../sidecar/rights/filter-image.ts'
import { encodeMessage, encodeNumber } from '../../../sidecar/criu/protobuf.ts'
import { entriesImage, messageImage } from '../criu/image-of.ts'

/** linux/seccomp.h: SECCOMP_FILTER_FLAG_TSYNC, and LOG. */
const [shared, log] = [1, 2]
const program = (mark: number) => Buffer.from([mark, 0, 0, 0, 0, 0, 0, 0])
const [runtime, newer, allow, own] = [program(1), program(2), program(6), program(7)]

type Made = { program?: Buffer; newer?: number; flags?: number }
/** The message of seccomp.img. */
const filters = (...made: Made[]) =>
  Buffer.concat(
    made.map(({ program: bytes, newer: link, flags = 0 }) => {
      const parts = bytes === undefined ? [] : [encodeMessage(1, bytes)]
      if (link !== undefined) parts.push(encodeNumber(2, link))
      return encodeMessage(1, Buffer.concat([...parts, encodeNumber(3, flags)]))
    }),
  )
const confined = (start: number): Thread => ({ state: { mode: 2, start } })
const free: Thread = { state: { mode: 0, start: undefined } }
const base: Chain = [{ program: runtime, flags: 0 }]

/** What each thread gets, the oldest filter first: the mark of each program and its flags. */
function fitted(message: Buffer, threads: Thread[][], under = base, had?: number): string[] {
  const processes = threads.map((one, process) =>
    one.map((thread, index): [string, Thread] => [`${process}.${index}`, thread]),
  )
  const { changed, added } = withBase({ base: under, had, processes, message })
  const read = chainsIn(Buffer.concat([message, added]))
  return [...changed].map(
    ([name, start]) => `${name}: ${read(start).map((one) => `${one.program[0]}/${one.flags}`).join(' ')}`,
  ) // prettier-ignore
}

t.test('a checkpoint of this container stays as it is', async (t) => {
  const usual = filters({ program: own, flags: shared }, { program: runtime, newer: 0, flags: shared })
  t.same(fitted(usual, [[confined(1), free, free]]), [])
  t.same(fitted(usual, [[confined(1)], [confined(1), free]]), [])
  const apart = filters({ program: runtime }, { program: own }, { program: runtime, newer: 1, flags: log })
  t.same(fitted(apart, [[confined(0), confined(2)]]), [])
})

t.test('what a checkpoint lacks is put under its own filters', async (t) => {
  const permissive = filters({ program: allow, flags: shared })
  t.same(fitted(permissive, [[confined(0), free]]), ['0.0: 1/1 6/1'])
  t.same(fitted(Buffer.alloc(0), [[free, free], [free]]), ['0.0: 1/1', '1.0: 1/1'])
  const two = [...base, { program: newer, flags: log }]
  t.same(fitted(filters({ program: runtime, flags: shared }), [[confined(0)]], two), ['0.0: 2/3 1/1'])
})

t.test('the filters of the container take the place of those of the earlier one', async (t) => {
  const usual = filters({ program: own, flags: shared }, { program: newer, newer: 0, flags: shared })
  t.same(fitted(usual, [[confined(1), free]], base, 1), ['0.0: 1/1 7/1'])
  t.same(fitted(usual, [[confined(1), free]], base, 0), ['0.0: 1/1 2/1 7/1'])
  const two = [...base, { program: allow, flags: 0 }]
  t.same(fitted(usual, [[confined(1), free]], two, 2), ['0.0: 1/1 6/1'])
  t.same(
    fitted(usual, [[confined(0), free], [free]], base, 9),
    ['0.0: 1/1', '1.0: 1/1'],
    'more than there are',
  )
  const same = filters({ program: own, flags: shared }, { program: runtime, newer: 0, flags: shared })
  t.same(fitted(same, [[confined(1), free, free]], base, 1), [], 'equal ones stay as they are')
})

t.test('a thread that others do not share with gets them itself, and shares nothing', async (t) => {
  const apart = filters({ program: own }, { program: allow })
  t.same(fitted(apart, [[confined(0), confined(1), free]]), ['0.0: 1/0 7/0', '0.1: 1/0 6/0', '0.2: 1/0'])
  // The kernel would not share it with a thread that has another one, and CRIU takes that answer for a success.
  const refused = filters({ program: runtime, flags: shared }, { program: runtime })
  t.same(fitted(refused, [[confined(0), confined(1)]]), ['0.0: 1/0'])
  const notShared = filters({ program: runtime })
  t.same(fitted(notShared, [[confined(0), free]]), ['0.1: 1/0'], 'nobody gives it to the other')
  const partly = filters({ program: own }, { program: runtime, newer: 0, flags: shared })
  t.same(fitted(partly, [[confined(1), free]]), ['0.0: 1/0 7/0', '0.1: 1/0'])
})

t.test('flags that CRIU does not write are not set', async (t) => {
  // NEW_LISTENER, SPEC_ALLOW.
  t.same(fitted(filters({ program: runtime, flags: 1 + 8 + 4 }), [[confined(0)]]), ['0.0: 1/1'])
})

t.test('equal chains are written once', async (t) => {
  const threads = [[free], [free], [free]].map((one, index) => one.map((thread): [string, Thread] => [`${index}`, thread])) // prettier-ignore
  const { changed, added } = withBase({ base, processes: threads, message: Buffer.alloc(0) })
  t.same([...changed.values()], [0, 0, 0])
  t.ok(added.length < 20)
})

t.test('what CRIU could read in another way is refused', async (t) => {
  const endless = filters({ program: own, newer: 1 }, { program: runtime, newer: 0 })
  const twice = encodeMessage(1, Buffer.concat([encodeMessage(1, own), encodeMessage(1, runtime)]))
  const links = encodeMessage(
    1,
    Buffer.concat([encodeMessage(1, own), encodeNumber(2, 0), encodeNumber(2, 0)]),
  )
  for (const [what, message] of [
    ['a chain without an end', endless],
    ['a link to nothing', filters({ program: own, newer: 7 })],
    ['no program', filters({})],
    ['a cut program', filters({ program: own.subarray(1) })],
    ['a program that is too long', filters({ program: Buffer.alloc(2 ** 19 + 8) })],
    ['two programs', twice],
    ['two links', links],
    ['flags of more than 32 bits', filters({ program: own, flags: 2 ** 32 })],
    ['another field', Buffer.concat([filters({ program: own }), encodeNumber(2, 0)])],
    [
      'another field of a filter',
      encodeMessage(1, Buffer.concat([encodeMessage(1, own), encodeNumber(4, 0)])),
    ],
  ] as const)
    t.throws(() => fitted(message, [[confined(0)]]), what)
  t.throws(() => fitted(filters({ program: own }), [[confined(1)]]), 'a filter that is not there')
  t.throws(
    () => fitted(filters({ program: own }), [[{ state: { mode: 1, start: undefined } }]]),
    'the strict mode',
  )
  t.throws(() => fitted(filters({ program: own }), [[{ state: { mode: 2, start: undefined } }]]), 'no filter')
})

const task = (thread: Buffer[], process: Buffer[] = [encodeNumber(1, 1)]) =>
  messageImage(
    [0x54564319, 0x55053847],
    Buffer.concat([
      encodeMessage(3, Buffer.concat(process)),
      ...(thread.length === 0 ? [] : [encodeMessage(5, Buffer.concat(thread))]),
    ]),
  )

t.test('the image of a thread', async (t) => {
  t.same(threadOf(task([encodeNumber(11, 2), encodeNumber(12, 3)])), confined(3))
  t.same(threadOf(task([encodeNumber(4, 1)])), free)
  t.same(threadOf(task([])), {}, 'one that waits to be reaped')
  for (const [what, image] of [
    ['a mode of more than 32 bits', task([encodeNumber(11, 2 ** 32)])],
    ['two modes', task([encodeNumber(11, 2), encodeNumber(11, 0)])],
    ['a mode for the whole process', task([encodeNumber(11, 2), encodeNumber(12, 0)], [encodeNumber(11, 0)])],
    [
      'a filter for the whole process',
      task([encodeNumber(11, 2), encodeNumber(12, 0)], [encodeNumber(12, 1)]),
    ],
    ['another image', messageImage([0x54564319, 0x64413049], Buffer.alloc(0))],
  ] as const)
    t.throws(() => threadOf(image), what)
})

const entry = (pid: number, ...tids: number[]) =>
  Buffer.concat([[1, pid], [2, 1], [3, pid], [4, pid], ...tids.map((tid) => [5, tid])].map(([field = 0, value = 0]) => encodeNumber(field, value))) // prettier-ignore
const tree = (...entries: Buffer[]) => entriesImage(0x50273030, entries)
const images = new Map<string, Thread>([
  ['core-10.img', confined(0)],
  ['core-11.img', free],
  ['core-12.img', {}],
  ['core-13.img', free],
])

const names = (image: Buffer) => processesIn(image, images).map((one) => one.map(([name]) => name))

t.test('which threads are of one process', async (t) => {
  t.same(names(tree(entry(10, 10, 11), entry(12), entry(13, 13))), [['core-10.img', 'core-11.img'], ['core-13.img']]) // prettier-ignore
  t.throws(() => names(tree(entry(10, 10, 11), entry(13, 13, 11))), 'a thread of two processes')
  t.throws(() => names(tree(entry(10, 11, 10))), 'the first thread is another')
  t.throws(() => names(tree(entry(10))), 'no thread')
  t.throws(() => names(tree(entry(10, 10, 14))), 'no image')
  t.throws(() => names(tree(entry(10, 10, 12))), 'a thread that has ended')
})

t.test('what the launcher says of filters', async (t) => {
  const [one, two, ...more] = parseFilters('0 0600000000000000\n2 06000000000000000700000000000000\n')
  t.same([one?.program, one?.flags, two?.flags, two?.program.length, more.length], [program(6), 0, 2, 16, 0])
  t.throws(() => parseFilters(''))
})
