import t from 'tap'
import fc from 'fast-check'
import type { MemoryPlan } from '../../../../src/pod-plan.ts'
import {
  answerPressure,
  isInForce,
  nextLimitBytes,
  nobodyResizes,
} from '../../../../sidecar/triggers/memory/growth.ts'

const mebibyte = 1024 ** 2
const gibibyte = 1024 ** 3
/** As the kernel keeps it. */
const kept = (bytes: number, pageBytes = 4096) => Math.floor(bytes / pageBytes) * pageBytes

t.test('a limit grows by half, at least 64 MiB, at most to its maximum', async (t) => {
  t.equal(nextLimitBytes(gibibyte, 8 * gibibyte), 1.5 * gibibyte)
  t.equal(nextLimitBytes(16 * mebibyte, gibibyte), 80 * mebibyte)
  t.equal(nextLimitBytes(gibibyte, 1.25 * gibibyte), 1.25 * gibibyte)
  t.equal(nextLimitBytes(gibibyte, gibibyte), undefined)
  t.equal(nextLimitBytes(2 * gibibyte, gibibyte), undefined, 'never smaller')
})

for (const pageBytes of [4096, 65536])
  t.test(
    `growth always ends, in few steps, as a kernel with pages of ${pageBytes} keeps limits`,
    async () => {
      fc.assert(
        fc.property(
          fc.integer({ min: 65536, max: 2 ** 40 }),
          fc.integer({ min: 1, max: 1000 }),
          fc.integer({ min: 0, max: 99_999 }),
          (limit, times, more) => {
            const most = limit * times + more
            let steps = 0
            let at = kept(limit, pageBytes)
            for (let next = nextLimitBytes(at, most); next !== undefined; next = nextLimitBytes(at, most)) {
              if (isInForce(at, next) || !isInForce(kept(next, pageBytes), next) || next > most) return false
              at = kept(next, pageBytes)
              if (++steps > 20) return false
            }
            return true
          },
        ),
      )
    },
  )

t.test('a limit that is no whole number of pages grows to its maximum, and no further', async (t) => {
  const [first, most] = [kept(500e6), 2_000e6]
  let last = first
  for (let next = nextLimitBytes(first, most); next !== undefined; next = nextLimitBytes(last, most))
    last = kept(next)
  t.ok(last > most - 65536, `${last}`)
  t.match(answerPressure({ ...plan, maxBytes: most }, last), { do: 'checkpoint', because: /all that it may grow to/ }) // prettier-ignore
})

const plan: MemoryPlan = {
  thresholdPercent: 85,
  answer: 'grow',
  maxBytes: 4 * gibibyte,
  recordsNeeds: true,
}

t.test('the pod’s wish is followed as far as there is somebody who does it', async (t) => {
  t.strictSame(answerPressure(plan, gibibyte), { do: 'grow', toBytes: 1.5 * gibibyte })
  t.strictSame(answerPressure({ ...plan, answer: 'reschedule' }, gibibyte), { do: 'reschedule', toBytes: 1.5 * gibibyte }) // prettier-ignore
  t.strictSame(answerPressure({ ...plan, answer: 'checkpoint' }, gibibyte), { do: 'checkpoint' })
})

t.test(
  'what cannot grow in place is rescheduled; what cannot be that either keeps a checkpoint, and hears why',
  async (t) => {
    const alone = { grow: nobodyResizes }
    t.strictSame(answerPressure(plan, gibibyte, alone), { do: 'reschedule', toBytes: 1.5 * gibibyte })
    t.strictSame(answerPressure(plan, gibibyte, { grow: 'deferred' }), { do: 'reschedule', toBytes: 1.5 * gibibyte }) // prettier-ignore
    t.strictSame(answerPressure(plan, gibibyte, { grow: 'deferred', reschedule: 'the store is full' }), {
      do: 'checkpoint',
      because: 'deferred; the store is full',
    })
    t.strictSame(answerPressure({ ...plan, recordsNeeds: false }, gibibyte, alone), {
      do: 'checkpoint',
      because: 'nobody here resizes pods; nobody here gives a replacement more memory',
    })
    t.strictSame(answerPressure({ ...plan, answer: 'reschedule', recordsNeeds: false }, gibibyte, alone), {
      do: 'checkpoint',
      because: 'nobody here gives a replacement more memory',
    })
  },
)

t.test('what would not be replaced by a pod with more is not ended', async (t) => {
  const staysBecause = 'with restartPolicy Always it would be started again in the same pod'
  t.strictSame(answerPressure({ ...plan, answer: 'reschedule', staysBecause }, gibibyte), {
    do: 'checkpoint',
    because: staysBecause,
  })
  t.match(answerPressure({ ...plan, staysBecause }, gibibyte), { do: 'grow' })
  t.match(answerPressure({ ...plan, staysBecause }, gibibyte, { grow: 'deferred' }), {
    do: 'checkpoint',
    because: `deferred; ${staysBecause}`,
  })
})

t.test('at its maximum nothing is asked for in vain', async (t) => {
  t.match(answerPressure(plan, 4 * gibibyte), { do: 'checkpoint', because: /all that it may grow to, 4294967296 bytes/ }) // prettier-ignore
  t.match(answerPressure({ ...plan, answer: 'reschedule' }, 5 * gibibyte), { do: 'checkpoint' })
})
