import fc from 'fast-check'
import t from 'tap'
import { asidePid, isInRange, rangeStart, setLastPid } from '../../../sidecar/proc/pid-range.ts'
import { quietLog } from '../quiet-log.ts'

t.test('each container has a range of its own, far above the pod and below pid_max', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), (count) => {
      const starts = Array.from({ length: count }, (_, index) => rangeStart(index, count))
      const width = rangeStart(1, count) - rangeStart(0, count)
      return starts.every(
        (start, index) =>
          start === (starts[index - 1] ?? 10_000 - width) + width &&
          isInRange(start + 1) &&
          start + width <= asidePid &&
          asidePid < 32_768,
      )
    }),
  )
  t.ok(rangeStart(1, 2) - rangeStart(0, 2) > 10_000)
  t.equal(rangeStart(0, 0), 10_000, 'no division by nothing')
})

t.test('what sits aside is in no range', async (t) => {
  t.equal(isInRange(asidePid + 1), false)
  t.equal(isInRange(1), false)
  t.equal(isInRange(10_000), false)
  t.equal(isInRange(10_001), true)
})

t.test('without the launcher the next number cannot be set, which is said and no more', async (t) => {
  t.equal(await setLastPid(asidePid, quietLog), false)
})
