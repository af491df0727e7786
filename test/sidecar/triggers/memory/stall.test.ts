import t from 'tap'
import { Stall } from '../../../../sidecar/triggers/memory/stall.ts'

t.test('a tenth of the time in two looks in a row is a stall that lasts', async (t) => {
  const stall = new Stall()
  t.equal(stall.lasts(5_000_000, 0), false, 'how long it took to come to that is not known')
  t.equal(stall.lasts(5_500_000, 5_000), false, 'once')
  t.equal(stall.lasts(6_000_000, 10_000), true)
  t.equal(stall.lasts(6_499_000, 15_000), false)
  t.equal(stall.lasts(7_500_000, 20_000), false, 'begins again')
})

t.test('where nobody counts there is none', async (t) => {
  const stall = new Stall()
  for (const at of [0, 5_000, 10_000, 15_000]) t.equal(stall.lasts(undefined, at), false)
})

t.test('what was before something else happened does not count', async (t) => {
  const stall = new Stall()
  stall.lasts(0, 0)
  stall.lasts(5_000_000, 5_000)
  stall.forget()
  t.equal(stall.lasts(10_000_000, 10_000), false)
  t.equal(stall.lasts(15_000_000, 15_000), false)
  t.equal(stall.lasts(20_000_000, 20_000), true)
})
