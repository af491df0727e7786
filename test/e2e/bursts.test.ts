import t from 'tap'
import { burst, chosenBursts, twoAtATime } from './bursts.ts'

t.test('a hundred bursts have every limit from 128 MiB to 1 GiB with one thread and with four', async (t) => {
  const bursts = chosenBursts({ REPRIEVE_SOAK: '1' })
  t.equal(bursts.length, 100)
  for (const limitMiB of [128, 192, 256, 384, 512, 1024])
    for (const threads of [1, 4])
      t.ok(bursts.filter((one) => one.limitMiB === limitMiB && one.threads === threads).length >= 6, `${limitMiB} MiB, ${threads}`) // prettier-ignore
  t.ok(
    bursts.every(({ limitMiB, mebibytes }) => mebibytes > limitMiB),
    'none fits into its limit',
  )
})

t.test('the hundred can be done in parts, and what names none is told', async (t) => {
  t.same(chosenBursts({}), [burst(0)])
  const parts = ['0-39', '40-40', '41-99'].flatMap((range) => chosenBursts({ REPRIEVE_BURSTS: range }))
  t.same(parts, chosenBursts({ REPRIEVE_SOAK: '1' }))
  for (const range of ['9-3', '90-100', '5', 'all', '-3-4'])
    t.throws(() => chosenBursts({ REPRIEVE_BURSTS: range }), new RegExp(`REPRIEVE_BURSTS=${range} is no range`)) // prettier-ignore
})

t.test('at most two run at a time, and each runs once', async (t) => {
  let running = 0
  const seen: number[] = []
  await twoAtATime([1, 2, 3, 4, 5], async (item) => {
    t.ok(++running <= 2)
    await new Promise((resolve) => setImmediate(resolve))
    seen.push(item)
    running--
  })
  t.same(seen.sort(), [1, 2, 3, 4, 5])
  await t.rejects(
    twoAtATime([1], () => Promise.reject(new Error('no'))),
    /no/,
  )
})
