import t from 'tap'
import { collectWhenIdle } from '../../../sidecar/setup/idle-memory.ts'
import { fakeClock } from '../../fake-clock.ts'

t.test('what work has left is collected once, and again only when there is more', async (t) => {
  const clock = fakeClock(t, { stepMs: 1_000 })
  let usedBytes = 5e6
  let collections = 0
  const collect = () => {
    collections++
    usedBytes = 3e6
  }
  const end = collectWhenIdle({ usedBytes: () => usedBytes, collect })
  t.teardown(end)
  await clock.pass(60_000)
  t.equal(collections, 1, 'after the start')
  usedBytes = 3.9e6
  await clock.pass(60_000)
  t.equal(collections, 1, 'little is left alone')
  usedBytes = 6e6
  await clock.pass(60_000)
  t.equal(collections, 2, 'after a checkpoint')
  end()
  usedBytes = 9e6
  await clock.pass(60_000)
  t.equal(collections, 2, 'ended')
})

t.test('without the flag nothing is done', async (t) => {
  t.equal((globalThis as { gc?: unknown }).gc, undefined, 'the tests run without')
  t.doesNotThrow(collectWhenIdle())
})
