import fc from 'fast-check'
import t from 'tap'
import type { GenerationStart } from '../../src/generation.ts'
import { doomedCheckpoints, type Prunable } from '../../src/prune-choice.ts'

/** `a3:first` is checkpoint 3 of generation a, which began so; `3` knows no generation. Newest first. */
const slot = (...names: string[]): Prunable[] =>
  names.map((name) => {
    const [id = '', began] = name.split(':')
    const generation = { id: id.slice(0, 1), began: began as GenerationStart }
    return began === undefined ? { id } : { id, generation }
  })
const doomed = (complete: Prunable[], generation: string | undefined, keep = 2, putLast?: string) =>
  doomedCheckpoints(complete, [], { keep, generation, putLast })

t.test('of its own generation a writer keeps the newest', async (t) => {
  t.same(doomed(slot('a3:first', 'a2:first', 'a1:first'), 'a'), ['a1'])
  t.same(doomed(slot('3', '2', '1'), undefined), ['1'], 'also where it knows none')
})

t.test('a generation that was left for a reason of the surroundings stays whole', async (t) => {
  const all = slot('b6:surroundings', 'b5:surroundings', 'b4:surroundings', 'a3:first', 'a2:first')
  t.same(doomed(all, 'b'), ['b4'])
  t.same(doomed(slot('b6:surroundings', '3', '2', '1'), 'b', 1), [], 'as one of an earlier release does')
  t.same(doomed(slot('b6:other-work', '3', '2', '1'), 'b', 1), [], 'for whatever reason that was left')
})

t.test('two nodes that cannot read a good generation do not remove it', async (t) => {
  const all = slot('c7:damaged', 'b6:damaged', 'b5:damaged', 'a3:first', 'a2:first')
  t.same(doomed(all, 'c'), [])
  t.same(
    doomed(slot('c7:died', 'b6:damaged', 'a3:first'), 'c'),
    ['a3'],
    'where the application died, it is left',
  )
})

t.test('an older generation goes when the time to live of its newest checkpoint is over', async (t) => {
  const all = slot('c7:surroundings', 'b6:surroundings', 'b5:surroundings', 'a3:first', 'a2:first')
  const gone = (...overdue: string[]) =>
    doomedCheckpoints(all, [], { keep: 2, generation: 'c', putLast: undefined, overdue: new Set(overdue) })
  t.same(gone('a3', 'a2'), ['a3', 'a2'])
  t.same(gone('b5', 'a2'), [], 'each has a younger one')
  t.same(gone('c7', 'b6', 'b5', 'a3', 'a2'), ['b6', 'b5', 'a3', 'a2'], 'the own ones have no time to live')
  const own = { keep: 2, generation: 'd', putLast: undefined, overdue: new Set(['a3', 'a2']) }
  t.same(doomedCheckpoints(all, [], own), [], 'a writer without a checkpoint removes nothing')
})

t.test('of generations that were left for good, the newest checkpoint of the newest stays', async (t) => {
  const all = slot('c7:other-work', 'b6:other-work', 'b5:other-work', 'a3:first', 'a2:first')
  t.same(doomed(all, 'c'), ['b5', 'a3', 'a2'])
  const between = slot('c7:other-work', 'b6:surroundings', 'a3:first', 'a2:first')
  t.same(doomed(between, 'c'), ['a3', 'a2'], 'the work of all of them is another')
  const since = slot('c7:surroundings', 'b6:other-work', 'a3:first', 'a2:first')
  t.same(doomed(since, 'c'), ['a2'], 'b is left for its surroundings, a for good')
})

t.test('a writer whose generation is not the newest removes nothing of a younger one', async (t) => {
  const all = slot('b9:other-work', 'a3:first', 'a2:first', 'a1:first')
  t.same(doomed(all, 'a'), ['a1'])
})

t.test('a writer that has no checkpoint yet removes nothing of others', async (t) => {
  t.same(doomed(slot('a3:first', 'a2:first', 'a1:first'), 'b', 1), [])
})

t.test('whatever the history, own ones stay up to their number, and surroundings cost nothing', async () => {
  const began = fc.constantFrom('first', 'surroundings', 'other-work', 'damaged', 'died', 'finished')
  const lives = fc.array(fc.record({ began, count: fc.nat(4) }), { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(lives, fc.integer({ min: 1, max: 3 }), (history, keep) => {
      const all = history
        .flatMap(({ began: why, count }, at) =>
          Array.from({ length: count }, (_, n) => `${'abcdef'[at]}${at}${n}:${why}`),
        )
        .toReversed()
      const writer = 'abcdef'[history.length - 1] ?? 'a'
      const complete = slot(...all)
      const gone = new Set(doomed(complete, writer, keep))
      const own = complete.filter(({ generation }) => generation?.id === writer)
      const kept = own.filter(({ id }) => !gone.has(id))
      const good = new Set(['other-work', 'died', 'finished'])
      const lastLeap = history.findLastIndex((life) => good.has(life.began) && life.count > 0)
      const left = complete.filter(({ generation }) => 'abcdef'.indexOf(generation?.id ?? '') >= lastLeap && generation?.id !== writer) // prettier-ignore
      return kept.length === Math.min(keep, own.length) && left.every(({ id }) => !gone.has(id))
    }),
  )
})
