import t from 'tap'
import { until } from '../until.ts'
import { Deadline } from '../../src/deadline.ts'

t.test('what is left never falls below 0, and a timer always gets at least 1 ms', async (t) => {
  const over = Deadline.in(-5_000)
  t.strictSame([over.leftMs, over.isOver, over.timerMs], [0, true, 1])
  const far = Deadline.in(3 * 2 ** 31)
  t.equal(far.isOver, false)
  t.equal(far.timerMs, 2 ** 31 - 1, 'nor more than Node takes')
})

t.test('an instant that somebody named is kept as far away as it is now', async (t) => {
  const named = Date.now() + 3_600_000
  t.ok(Math.abs(Deadline.at(named).leftMs - 3_600_000) < 60_000)
  t.ok(Math.abs(Deadline.at(named).epochMs - named) < 60_000)
})

t.test('deadlines are compared and moved', async (t) => {
  const soon = Deadline.in(1_000)
  const late = soon.plus(1_000)
  t.strictSame([soon.isBefore(late), late.isBefore(soon), late.plus(-5_000).isOver], [true, false, true])
})

t.test('its signal aborts when it is over', async () => {
  const signal = Deadline.in(10).signal()
  await until('it to abort', () => signal.aborted)
})
