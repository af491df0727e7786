import t from 'tap'
import { Overload, type OverloadReason } from '../../webhook/overload.ts'

const most = { requests: 3, bytes: 100, delayMs: 1000 }
const budgetMs = 9500

t.test('a review within the bounds is accepted, and one that has left makes room', async (t) => {
  const overload = new Overload(most, () => 0)
  for (let count = 0; count < 3; count++) t.equal(overload.enter(10, budgetMs), undefined)
  t.equal(overload.enter(10, budgetMs), 'requests')
  overload.leave(10)
  t.equal(overload.enter(10, budgetMs), undefined)
  t.equal(overload.enter(10, budgetMs), 'requests')
  t.same([overload.requests, overload.bytes], [3, 30])
})

t.test('large ones count by their size', async (t) => {
  const overload = new Overload(most, () => 0)
  t.equal(overload.enter(60, budgetMs), undefined)
  t.equal(overload.enter(60, budgetMs), 'bytes')
  t.equal(overload.enter(40, budgetMs), undefined, 'a smaller one still fits')
  overload.leave(60)
  t.equal(overload.enter(60, budgetMs), undefined)
})

t.test('a review that has waited for too long is refused', async (t) => {
  const table: [delayMs: number, budgetMs: number, OverloadReason | undefined][] = [
    [0, budgetMs, undefined],
    [1000, budgetMs, undefined],
    [1001, budgetMs, 'delay'],
    // Of an API server that gives a second, half of it.
    [250, 500, undefined],
    [251, 500, 'delay'],
  ]
  for (const [delayMs, budget, expected] of table)
    t.equal(new Overload(most, () => delayMs).enter(1, budget), expected, `${delayMs} ms of ${budget}`)
})
