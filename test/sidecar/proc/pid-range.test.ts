import fc from 'fast-check'
import t from 'tap'
import {
  applicationRange,
  asideRange,
  isWithin,
  setLastPid,
  widestGap,
} from '../../../sidecar/proc/pid-range.ts'
import { quietLog } from '../quiet-log.ts'

const { from: first, to: last } = applicationRange

t.test('no number of the widest gap is taken, and no gap is wider', async () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 50 }), (taken) => {
      const { from, to } = widestGap(taken)
      const inside = taken.filter((pid) => pid > first && pid <= last).toSorted((one, other) => one - other)
      const widths = [...inside, last + 1].map((pid, index) => pid - 1 - (inside[index - 1] ?? first))
      return (
        from >= first &&
        to <= last &&
        !taken.some((pid) => isWithin(pid, { from, to })) &&
        to - from === Math.max(...widths)
      )
    }),
  )
})

t.test(
  'where nothing is taken the whole range is free; where all is, there is nothing to choose',
  async (t) => {
    t.strictSame(widestGap([]), applicationRange)
    t.strictSame(widestGap([first, last + 1]), applicationRange)
    t.strictSame(widestGap([3, 4, 6], { from: 2, to: 6 }), { from: 4, to: 5 })
    t.strictSame(widestGap([3, 4], { from: 2, to: 4 }), { from: 2, to: 4 })
  },
)

t.test('aside is above the range, and below the pid_max of the smallest nodes', async (t) => {
  t.equal(isWithin(asideRange.from + 1, applicationRange), false)
  t.equal(isWithin(asideRange.from, applicationRange), true)
  t.equal(isWithin(10_000, applicationRange), false)
  t.ok(asideRange.to < 32_768)
})

t.test('without the launcher the next number cannot be set, which is said and no more', async (t) => {
  t.equal(await setLastPid(asideRange.from, quietLog), false)
})
