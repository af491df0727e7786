import t from 'tap'
import {
  raisedThrottleBytes,
  isPressure,
  mayRearm,
  parseFlatKeys,
  parseLimitBytes,
  parseStalledUs,
  reclaimableOf,
  slackBytes,
  thresholdBytes,
  unreclaimableBytes,
} from '../../../../sidecar/triggers/memory/usage.ts'

const mebibyte = 1024 ** 2
const limit = 1000 * mebibyte

const pressed = (current: number, reclaimable: number) =>
  isPressure({ currentBytes: current * mebibyte, reclaimableBytes: reclaimable * mebibyte }, limit, 85, 2)

t.test('limits are read as both versions write them', async (t) => {
  t.equal(parseLimitBytes('max\n'), Number.POSITIVE_INFINITY)
  t.equal(parseLimitBytes('9223372036854771712\n'), Number.POSITIVE_INFINITY)
  t.equal(parseLimitBytes('134217728\n'), 134217728)
  t.ok(Number.isNaN(parseLimitBytes('garbage')))
})

t.test('page cache and caches of names can be taken back, shared and anonymous memory cannot', async (t) => {
  const stat = parseFlatKeys(
    'anon 500\nfile 900\nshmem 300\ninactive_file 200\nactive_file 400\nslab_reclaimable 50\nslab_unreclaimable 7\n',
  )
  t.equal(reclaimableOf(stat, 2), 650)
  const first = parseFlatKeys(
    'inactive_file 1\nactive_file 1\ntotal_inactive_file 20\ntotal_active_file 30\n',
  )
  t.equal(reclaimableOf(first, 1), 50)
  t.equal(unreclaimableBytes({ currentBytes: 100, reclaimableBytes: 120 }), 0)
})

t.test('a line that is none is passed over', async (t) => {
  t.strictSame([...parseFlatKeys('high 3\n\nodd\nodd x\n__proto__ 9\n')], [['high', 3], ['__proto__', 9]]) // prettier-ignore
})

t.test('the threshold is in whole pages of the largest kind, at most the percentage', async (t) => {
  t.equal(thresholdBytes(10 * 65_536, 85), 8 * 65_536)
  t.equal(thresholdBytes(limit, 85), 850 * mebibyte)
})

t.test(
  'memory that the application fills is pressure from the threshold on; its page cache is not',
  async (t) => {
    t.equal(pressed(850, 0), true)
    t.equal(pressed(900, 20), true)
    t.equal(pressed(840, 0), false, 'a sawtooth that comes to 84 %')
    t.equal(pressed(1000, 160), false, '84 % and the rest full of page cache')
    t.equal(pressed(1000, 900), false)
  },
)

t.test('what each processor counts ahead is allowed for, but never so much that 84 % were 85', async (t) => {
  t.equal(slackBytes(limit, 2), 2 * 64 * 4096)
  t.ok(slackBytes(128 * mebibyte, 256) < 0.01 * 128 * mebibyte)
})

t.test('a throttle that was released is set again ten percent below, not at the next tooth', async (t) => {
  const of = (current: number) =>
    mayRearm({ currentBytes: current * mebibyte, reclaimableBytes: 0 }, limit, 85)
  t.equal(of(840), false)
  t.equal(of(751), false)
  t.equal(of(749), true)
  t.equal(mayRearm({ currentBytes: 0, reclaimableBytes: 0 }, limit, 1), true, 'whatever the percentage')
})

t.test('the time in which nothing went on for want of memory is read', async (t) => {
  const pressure = 'some avg10=2.00 avg60=1.00 avg300=0.50 total=9000\nfull avg10=1.00 avg60=0.50 avg300=0.25 total=4000\n' // prettier-ignore
  t.equal(parseStalledUs(pressure), 4000)
  t.equal(parseStalledUs('some avg10=0.00 avg60=0.00 avg300=0.00 total=9000\n'), undefined)
})

t.test('a throttle gives way to 97 percent, and never comes down by it', async (t) => {
  t.equal(raisedThrottleBytes(limit, 85), 970 * mebibyte)
  t.equal(raisedThrottleBytes(limit, 99), 990 * mebibyte)
})
