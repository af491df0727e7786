import t from 'tap'
import { BoundedCache } from '../../webhook/bounded-cache.ts'

t.test('an entry is forgotten after its time', async (t) => {
  let now = 0
  const cache = new BoundedCache<number>(10, () => now)
  cache.set('a', 1, 100)
  now = 99
  t.equal(cache.get('a'), 1)
  now = 100
  t.equal(cache.get('a'), undefined)
  t.equal(cache.size, 0)
})

t.test('of too many, the one that was used least recently is forgotten', async (t) => {
  const cache = new BoundedCache<number>(3, () => 0)
  for (const key of ['a', 'b', 'c']) cache.set(key, 1, 1)
  cache.get('a')
  cache.set('d', 1, 1)
  t.same(
    ['a', 'b', 'c', 'd'].filter((key) => cache.get(key) !== undefined),
    ['a', 'c', 'd'],
  )
  for (let index = 0; index < 1000; index++) cache.set(`k${index}`, index, 1)
  t.equal(cache.size, 3)
})
