/**
 * What every store of objects must do. A store that replaces objects although it is told not to must not be believed: there the suite wants
 * `conditions-ignored` instead, and nothing written.
 */
import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import type { Objects } from '../../src/objects/objects.ts'
import { until } from '../until.ts'

export type Stand = {
  objects: Objects
  /** Whether the store keeps `ifAbsent`. */
  conditional: boolean
}

const never = { signal: new AbortController().signal }

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

/** Every test has keys of its own, below a random one. */
export function conformance(t: Test, open: () => Promise<Stand>): void {
  const test = (name: string, run: (t: Test, stand: Stand, at: string) => Promise<void>) =>
    t.test(name, async (t) => run(t, await open(), `suite/${randomBytes(6).toString('hex')}`))

  test('what was put is got, in one part or many, empty or of some MiB', async (t, { objects }, at) => {
    const large = randomBytes((3 << 20) + 17)
    await objects.put(`${at}/one`, [Buffer.from('hello')], never)
    await objects.put(`${at}/many`, [large.subarray(0, 5), Buffer.alloc(0), large.subarray(5)], never)
    await objects.put(`${at}/empty`, [], never)
    t.equal((await objects.get(`${at}/one`, never)).toString(), 'hello')
    t.ok(large.equals(await objects.get(`${at}/many`, never)))
    t.equal((await objects.get(`${at}/empty`, never)).length, 0)
  })

  test('a range is got from its first byte to its last', async (t, { objects }, at) => {
    const bytes = randomBytes(100_000)
    await objects.put(`${at}/a`, [bytes], never)
    for (const [start, length] of [[0, 1], [0, 100_000], [17, 4_096], [99_999, 1]] as const) // prettier-ignore
      t.ok(bytes.subarray(start, start + length).equals(await objects.get(`${at}/a`, { ...never, range: { start, length } })), `${start}+${length}`) // prettier-ignore
  })

  test('a range beyond the end is told as damage, and none of nothing is taken', async (t, {
    objects,
  }, at) => {
    await objects.put(`${at}/a`, [Buffer.alloc(10)], never)
    for (const range of [{ start: 9, length: 2 }, { start: 10, length: 1 }, { start: 1_000, length: 5 }]) // prettier-ignore
      await t.rejects(objects.get(`${at}/a`, { ...never, range }), { code: 'object-damaged', data: { key: `${at}/a` } }) // prettier-ignore
    for (const range of [
      { start: 0, length: 0 },
      { start: -1, length: 1 },
      { start: 0.5, length: 1 },
      { start: 0, length: Number.NaN },
    ])
      // prettier-ignore
      await t.rejects(objects.get(`${at}/a`, { ...never, range }), RangeError)
  })

  test('an object that is not there is missing, whole or in part', async (t, { objects }, at) => {
    const missing = { code: 'object-missing', data: { key: `${at}/none` } }
    await t.rejects(objects.get(`${at}/none`, never), missing)
    await t.rejects(objects.get(`${at}/none`, { ...never, range: { start: 0, length: 1 } }), missing)
  })

  test('a later put replaces, with more or fewer bytes', async (t, { objects }, at) => {
    for (const text of ['a longer one', 'short', 'the longest of the three'])
      await objects.put(`${at}/a`, [Buffer.from(text)], never)
    t.equal((await objects.get(`${at}/a`, never)).toString(), 'the longest of the three')
  })

  test('a reader beside a writer sees one object or the other', async (t, { objects }, at) => {
    const [one, other] = [Buffer.alloc(200_000, 1), Buffer.alloc(300_000, 2)]
    await objects.put(`${at}/a`, [one], never)
    const writing = (async () => {
      for (let round = 0; round < 6; round++) await objects.put(`${at}/a`, [round % 2 === 0 ? other : one], never) // prettier-ignore
    })()
    for (let round = 0; round < 12; round++) {
      const seen = await objects.get(`${at}/a`, never)
      t.ok(seen.equals(one) || seen.equals(other))
    }
    await writing
  })

  test('a list has what begins with the prefix, in the order of bytes', async (t, { objects }, at) => {
    const names = ['a', 'a-b', 'a.b', 'b/c/d', 'b/c0', 'b/c-', 'B', '_', '0', 'b0', '.hidden']
    const before = Date.now()
    for (const name of names) await objects.put(`${at}/${name}`, [Buffer.from(name)], never)
    const listed = await all(objects.list(`${at}/`, never))
    const keys = (list: readonly { key: string }[]) => list.map(({ key }) => key.slice(at.length + 1))
    t.same(keys(listed), [...names].sort(), 'all of them')
    t.ok(
      listed.every(({ key, bytes }) => bytes === key.length - at.length - 1),
      'with their sizes',
    )
    // A store may tell whole seconds, and have a clock of its own.
    t.ok(
      listed.every(({ modifiedMs }) => Math.abs(modifiedMs - before) < 120_000),
      'and their times',
    )
    t.same(keys(await all(objects.list(`${at}/b/c`, never))), ['b/c-', 'b/c/d', 'b/c0'])
    t.same(keys(await all(objects.list(`${at}/b/c/`, never))), ['b/c/d'])
    t.same(await all(objects.list(`${at}/nothing`, never)), [])
  })

  test('a removed object is gone, and removing it again is no error', async (t, { objects }, at) => {
    for (const name of ['a', 'b/c', 'b/d']) await objects.put(`${at}/${name}`, [Buffer.from(name)], never)
    await objects.remove([`${at}/a`, `${at}/b/c`, `${at}/none`, `${at}/no/folder`], never)
    await objects.remove([`${at}/a`], never)
    await objects.remove([], never)
    const left = await all(objects.list(`${at}/`, never))
    t.same(left.map(({ key }) => key), [`${at}/b/d`]) // prettier-ignore
    await t.rejects(objects.get(`${at}/a`, never), { code: 'object-missing' })
    await objects.put(`${at}/a`, [Buffer.from('again')], never)
    t.equal((await objects.get(`${at}/a`, never)).toString(), 'again')
  })

  test('with ifAbsent the first put wins, and no other changes anything', async (t, {
    objects,
    conditional,
  }, at) => {
    const first = objects.put(`${at}/a`, [Buffer.from('first')], { ...never, ifAbsent: true })
    if (!conditional) {
      await t.rejects(first, { code: 'conditions-ignored' })
      await t.rejects(objects.get(`${at}/a`, never), { code: 'object-missing' })
      return
    }
    await first
    for (const text of ['second', 'first'])
      await t.rejects(objects.put(`${at}/a`, [Buffer.from(text)], { ...never, ifAbsent: true }), { code: 'object-exists', data: { key: `${at}/a` } }) // prettier-ignore
    t.equal((await objects.get(`${at}/a`, never)).toString(), 'first')
    await objects.remove([`${at}/a`], never)
    await objects.put(`${at}/a`, [Buffer.from('third')], { ...never, ifAbsent: true })
    t.equal((await objects.get(`${at}/a`, never)).toString(), 'third')
  })

  test('of many puts with ifAbsent at once one wins', async (t, { objects, conditional }, at) => {
    if (!conditional) return void t.pass('the test before this one has shown that there is no such put')
    for (let round = 0; round < 3; round++) {
      const key = `${at}/${round}`
      const texts = Array.from({ length: 8 }, (_, index) => `writer ${index}`)
      const outcomes = await Promise.all(
        texts.map((text) =>
          objects.put(key, [Buffer.from(text)], { ...never, ifAbsent: true }).then(
            () => text,
            (error: { code?: string }) => error.code,
          ),
        ),
      )
      const winners = outcomes.filter((outcome) => outcome !== 'object-exists')
      t.same(winners, [(await objects.get(key, never)).toString()], `round ${round}`)
    }
  })

  test('keys that lead elsewhere are refused by every operation', async (t, { objects }) => {
    const invalid = { code: 'key-invalid' }
    const keys = ['', '/a', 'a/', 'a//b', '.', '..', '../a', 'a/../b', 'a/./b', 'a/..', 'a b', 'a\\b', 'a\0', 'ä', 'a?b', 'a%2e', '~a', 'x'.repeat(201), 'a/'.repeat(450) + 'a'] // prettier-ignore
    for (const key of keys) {
      await t.rejects(objects.put(key, [Buffer.from('x')], never), invalid, JSON.stringify(key))
      await t.rejects(objects.get(key, never), invalid)
      await t.rejects(objects.remove([key], never), invalid)
    }
    for (const prefix of ['/', '../', 'a/../', './', 'a//b', 'a b'])
      await t.rejects(all(objects.list(prefix, never)), invalid, JSON.stringify(prefix))
  })

  test('an aborted signal ends every operation, and an aborted put leaves nothing', async (t, {
    objects,
  }, at) => {
    await objects.put(`${at}/a`, [Buffer.from('before')], never)
    const over = { code: 'deadline-passed' }
    const signal = AbortSignal.abort()
    await t.rejects(objects.put(`${at}/a`, [Buffer.from('after')], { signal }), over)
    await t.rejects(objects.put(`${at}/b`, [Buffer.from('new')], { signal, ifAbsent: true }), /(gave up|given up|conditions|replaces)/) // prettier-ignore
    await t.rejects(objects.get(`${at}/a`, { signal }), over)
    await t.rejects(objects.remove([`${at}/a`], { signal }), over)
    await t.rejects(all(objects.list(`${at}/`, { signal })), over)
    // In the middle of a put: the whole of it or nothing.
    for (const afterMs of [0, 5, 20]) {
      const controller = new AbortController()
      const size = 5 << 20
      const putting = objects.put(`${at}/c`, [Buffer.alloc(size, 7)], { signal: controller.signal })
      setTimeout(() => controller.abort(), afterMs)
      await putting.catch((error: { code: string }) => t.equal(error.code, 'deadline-passed'))
      const seen = await objects.get(`${at}/c`, never).catch(() => undefined)
      t.ok(seen === undefined || seen.length === size, `aborted after ${afterMs} ms`)
    }
    t.equal((await objects.get(`${at}/a`, never)).toString(), 'before')
    // A server may still be busy with what it had of an aborted put.
    await until('only whole objects', async () => (await all(objects.list(`${at}/`, never))).every(({ key }) => [`${at}/a`, `${at}/c`].includes(key))) // prettier-ignore
  })
}
