import t from 'tap'
import {
  availableBytes,
  evictionBytes,
  isRelieved,
  judgeNode,
  parseMeminfo,
  parseStall,
  shrinkRate,
  type NodeSample,
  type Stall,
} from '../../../../sidecar/triggers/node-memory/node-memory.ts'

const mebibyte = 1024 ** 2
const meminfo = parseMeminfo(`MemTotal:       16000000 kB
MemFree:         2000000 kB
MemAvailable:    9000000 kB
Buffers:          100000 kB
Cached:          7000000 kB
SwapCached:            0 kB
AnonPages:       5000000 kB
Inactive(file):  3000000 kB
HugePages_Total:       0
`)

t.test('available is what the kubelet calls so, not MemAvailable', async (t) => {
  // 16000000 - ((7000000 + 100000 + 0 + 5000000) - 3000000): nothing of the kernel's own, with either version of cgroups
  t.equal(availableBytes(meminfo), 6_900_000 * 1024)
  t.equal(availableBytes(parseMeminfo('')), 0)
})

t.test('a threshold is a number of bytes, or a share of the whole capacity', async (t) => {
  t.equal(evictionBytes({ bytes: 7 }, meminfo), 7)
  t.equal(evictionBytes({ percent: 5 }, meminfo), 800_000 * 1024)
  t.equal(evictionBytes({ percent: 5 }, parseMeminfo('')), 0)
})

t.test('stalls are read, and a kernel without them has none', async (t) => {
  const text =
    'some avg10=12.34 avg60=0.00 avg300=0.00 total=1\nfull avg10=5.00 avg60=0.00 avg300=0.00 total=1\n'
  t.strictSame(parseStall(text), { some: 12.34, full: 5 })
  t.strictSame(parseStall(undefined), { some: 0, full: 0 })
})

const samples = (...available: number[]): NodeSample[] => samplesOf(available, { some: 0, full: 0 })
const samplesOf = (available: number[], stall: Stall, everyMs = 1000): NodeSample[] =>
  available.map((mib, index) => ({
    atMs: index * everyMs,
    availableBytes: mib * mebibyte,
    stall,
  }))

t.test('memory shrinks from the first sample to the last; growing is no shrinking', async (t) => {
  t.equal(shrinkRate(samples(1000, 900, 800)), (100 * mebibyte) / 1000)
  t.equal(shrinkRate(samples(800, 1000)), 0)
  t.equal(shrinkRate(samples(800)), 0)
  t.equal(shrinkRate([]), 0)
})

t.test('a burst is not thinned by the quiet before it', async (t) => {
  const available = [...Array.from({ length: 8 }, () => 9000), 8500, 7500]
  const every = (everyMs: number) => samplesOf(available, { some: 0, full: 0 }, everyMs)
  t.equal(shrinkRate(every(3000)), (1500 * mebibyte) / 6000)
  t.equal(shrinkRate(every(3010)), (1500 * mebibyte) / 6020, 'by timers that are late')
})

t.test('a checkpoint begins when it would otherwise be too late, and says its arithmetic', async (t) => {
  // 100 MiB a second: in 2 s of dumping and 3 s beside it 500 MiB.
  t.strictSame(judgeNode(samples(1000, 900, 800), 100 * mebibyte, 2000), { press: false })
  const verdict = judgeNode(samples(700, 600, 500), 100 * mebibyte, 2000)
  t.match(verdict, { press: true, why: /524288000 bytes available, shrinking by 104857600 a second, evicted below 104857600; a checkpoint takes 5000 ms/ }) // prettier-ignore
  t.strictSame(judgeNode(samples(500, 500, 500), 100 * mebibyte, 2000), { press: false }, 'low, and steady')
  t.match(judgeNode(samples(90, 90), 100 * mebibyte, 2000), { press: true }, 'below already')
  t.strictSame(judgeNode([], 100 * mebibyte, 2000), { press: false })
})

t.test('a node that only waits for memory is pressed earlier', async (t) => {
  const stalled = samplesOf([150, 150], { some: 90, full: 60 })
  t.match(judgeNode(stalled, 100 * mebibyte, 0), { press: true, why: /60 % of the time/ })
  const plenty = samplesOf([5000, 5000], { some: 90, full: 60 })
  t.strictSame(judgeNode(plenty, 100 * mebibyte, 0), { press: false }, 'stalls of some container’s own limit')
})

t.test('pressure is over when there is twice as much as is needed', async (t) => {
  t.equal(isRelieved(samples(250, 250), 100 * mebibyte, 0), true)
  t.equal(isRelieved(samples(190, 190), 100 * mebibyte, 0), false)
  t.equal(isRelieved(samples(900, 600), 100 * mebibyte, 2000), false, 'on its way down')
})
