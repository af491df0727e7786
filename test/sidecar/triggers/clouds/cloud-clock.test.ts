import t from 'tap'
import { CloudClock } from '../../../../sidecar/triggers/clouds/cloud-clock.ts'

/** Ten minutes of answers, one a second and a bit: the header has whole seconds, which come in every phase. */
async function changesAt(aheadMs: number): Promise<{ changes: number; said: number }> {
  let now = Date.parse('2026-03-04T05:06:07Z')
  const clock = new CloudClock(() => now)
  let changes = 0
  for (let count = 0; count < 600; count++) {
    const before = clock.aheadMs
    await clock.listen(async () => {
      now += 3
      return { status: 200, headers: new Map([['date', new Date(now + aheadMs).toUTCString()]]), body: '' }
    })
    if (clock.aheadMs !== before) changes++
    now += 1_037
  }
  return { changes, said: clock.aheadMs }
}

t.test('a clock that is as wrong as ever is told once', async (t) => {
  for (const aheadMs of [2_300, 2_500, 2_900, 3_500, 60_000])
    for (const sign of [1, -1]) {
      const { changes, said } = await changesAt(sign * aheadMs)
      t.ok(changes <= 1, `${sign * aheadMs} ms ahead: ${changes} changes`)
      t.ok(said === 0 ? aheadMs < 3_000 : Math.abs(said - sign * aheadMs) <= 1_000, `taken for ${said} ms`)
    }
})

t.test('and one that is right never', async (t) => {
  for (const aheadMs of [0, 900, -900, 1_000]) t.same(await changesAt(aheadMs), { changes: 0, said: 0 })
})
