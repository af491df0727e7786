import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { until } from '../until.ts'
import { LoopDelay } from '../../webhook/loop-delay.ts'

function blockMs(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

t.test('the delay is that of the turn under way or the one before it, and then ends', async (t) => {
  const delay = new LoopDelay()
  t.teardown(() => delay.stop())
  await sleep(120)
  blockMs(500)
  t.ok(delay.ms() > 400, `${delay.ms()} ms within the turn`)
  // What arrived meanwhile is seen in the turns that follow at once.
  await new Promise((resolve) => setImmediate(resolve))
  t.ok(delay.ms() > 400, `${delay.ms()} ms in the next`)
  await until('it to have caught up', () => delay.ms() <= 100)
})
