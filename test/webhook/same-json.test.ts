/** Two values are the same just where their texts are, but for the names that do not count. */
import fc from 'fast-check'
import t from 'tap'
import { isSameJson } from '../../webhook/same-json.ts'

const nobody: ReadonlySet<unknown> = new Set()
const isSame = (one: unknown, other: unknown) =>
  isSameJson({ value: one, nameless: nobody }, { value: other, nameless: nobody })

t.test('values are the same as their texts are', async (t) => {
  const json = fc.jsonValue({ maxDepth: 4 })
  fc.assert(
    fc.property(json, json, (one, other) => {
      const texts = [one, other].map((value) => JSON.stringify(value))
      if (isSame(one, other) !== (texts[0] === texts[1])) throw new Error('not as the texts')
      if (!isSame(one, JSON.parse(texts[0] ?? ''))) throw new Error('not as its own copy')
    }),
  )
  for (const [one, other] of [
    [
      { a: 1, b: 2 },
      { b: 2, a: 1 },
    ],
    [{ a: 1 }, { a: 1, b: 2 }],
    [[], {}],
    [[1], [1, 2]],
    [null, {}],
    ['1', 1],
    [JSON.parse('{"__proto__":{"a":1}}'), {}],
    [JSON.parse('{"__proto__":{"a":1}}'), JSON.parse('{"__proto__":{"a":2}}')],
  ])
    t.notOk(isSame(one, other), JSON.stringify([one, other]))
})

function named(name: string, isLeftOut: boolean) {
  const record = { name, more: [1] }
  return { value: [record], nameless: new Set(isLeftOut ? [record] : []) }
}

t.test('a name counts unless it is left out on both sides', async (t) => {
  t.ok(isSameJson(named('a', true), named('b', true)))
  t.notOk(isSameJson(named('a', false), named('b', false)))
  t.notOk(isSameJson(named('a', true), named('a', false)))
  const other = named('b', true)
  other.value[0]?.more.push(2)
  t.notOk(isSameJson(named('a', true), other), 'the rest counts')
})
