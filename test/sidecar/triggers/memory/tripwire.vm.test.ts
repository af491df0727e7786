/** The throttle, on real cgroups of version 2 and as fast as programs can fill them. */
import t from 'tap'
import type { Test } from 'tap'
import { undisturbedSum } from '../../../e2e/memory.ts'
import { soaking } from '../../../e2e/support.ts'
import { poll } from '../../../harness/deadline.ts'
import { Tripwire, type Crossing } from '../../../../sidecar/triggers/memory/tripwire.ts'
import { thresholdBytes, unreclaimableBytes } from '../../../../sidecar/triggers/memory/usage.ts'
import { quietLog } from '../../quiet-log.ts'
import { mebibyte, programOf, testCgroup, type TestCgroup } from './test-cgroup.ts'

const percent = 85
const deadlineMs = 120_000

/** Notes each crossing; the program stands still while `answer` does something about it. */
async function armed(t: Test, of: TestCgroup, answer: (crossing: Crossing) => Promise<void>) {
  const crossings: Crossing[] = []
  const crossed = async (crossing: Crossing) => {
    crossings.push(crossing)
    t.equal(await of.cgroup.freeze(), true, 'all of it stands still')
    await answer(crossing)
    await of.cgroup.thaw()
  }
  const wire = new Tripwire({ cgroup: of.cgroup, percent, recordFile: of.recordFile, crossed, log: quietLog })
  await wire.start()
  t.teardown(() => wire.stop())
  return { wire, crossings }
}

for (const [limitMiB, threads] of [
  [128, 1],
  [128, 4],
  [512, 4],
] as const)
  t.test(
    `${threads} threads that fill ${limitMiB} MiB as fast as they can are stopped in time, and go on with more`,
    async (t) => {
      const of = testCgroup(t, limitMiB)
      const mebibytes = 2 * limitMiB
      const { wire, crossings } = await armed(t, of, async ({ limitBytes }) => {
        of.set('memory.max', limitBytes * 1.5)
        await wire.arm()
      })
      const program = of.start([await programOf('fill.c'), String(mebibytes), String(threads), '0'])
      t.equal(await program.ended, 0)
      t.equal(program.lines.at(-2), await undisturbedSum(mebibytes), 'every byte is what it was')
      t.equal(of.event('oom_kill'), 0)
      t.ok(crossings.length >= 2, `${crossings.length} crossings`)
      for (const { usage, limitBytes } of crossings) {
        const part = (100 * unreclaimableBytes(usage)) / limitBytes
        t.ok(part >= percent - 1 && part < 100, `stopped at ${part.toFixed(1)} %`)
      }
    },
  )

// In minutes usage is looked at many times: below the threshold, near it, and after it was released.
const leakSeconds = soaking ? 180 : 3
t.test(`a slow leak, over ${leakSeconds} s, is stopped once, at the threshold`, async (t) => {
  const of = testCgroup(t, 64)
  const { wire, crossings } = await armed(t, of, () => wire.disarm())
  const program = of.start([await programOf('fill.c'), '60', '1', String((leakSeconds * 1e6) / 60)])
  t.equal(await program.ended, 0)
  t.equal(crossings.length, 1)
  const part = (100 * unreclaimableBytes(crossings[0]?.usage ?? { currentBytes: 0, reclaimableBytes: 0 })) / (64 * mebibyte) // prettier-ignore
  t.ok(part >= 84 && part <= 88, `at ${part.toFixed(1)} %`)
})

const teeth = soaking ? 1000 : 100
t.test(`a sawtooth that comes to 84 % and goes back, ${teeth} times, is left alone`, async (t) => {
  const limitMiB = 100
  const of = testCgroup(t, limitMiB)
  const { crossings } = await armed(t, of, async () => undefined)
  // What the kernel keeps for the program beside its memory (page tables, stacks) is a part of the 84 %.
  const program = of.start([await programOf('sawtooth.c'), '83', String(teeth)])
  t.equal(await program.ended, 0)
  const peak = (100 * Number(of.read('memory.peak'))) / (limitMiB * mebibyte)
  t.ok(peak > 83 && peak < 85, `it came to ${peak.toFixed(1)} %`)
  t.strictSame(crossings, [])
})

t.test('a sawtooth that trips the throttle is stopped once, not at each tooth', async (t) => {
  const of = testCgroup(t, 100)
  const { wire, crossings } = await armed(t, of, () => wire.disarm())
  const program = of.start([await programOf('sawtooth.c'), '92', '30'])
  t.equal(await program.ended, 0)
  t.ok(crossings.length === 1 || crossings.length === 2, `${crossings.length} crossings in 30 teeth`)
})

t.test('page cache up to the limit is no pressure', async (t) => {
  const of = testCgroup(t, 64)
  const { crossings, wire } = await armed(t, of, async () => undefined)
  const script = 'dd if=/dev/zero of=$0 bs=1M count=200 2>/dev/null; cat $0 $0 >/dev/null'
  const program = of.start(['sh', '-c', script, `${of.recordFile}.file`])
  t.equal(await program.ended, 0)
  t.ok(of.event('high') > 0, `the kernel throttled ${of.event('high')} times`)
  t.strictSame(crossings, [])
  t.equal(wire.state, 'armed')
})

t.test('memory that fills while page cache fills the rest is pressure all the same', async (t) => {
  const of = testCgroup(t, 128)
  const { wire } = await armed(t, of, () => wire.disarm())
  const reader = of.start(['sh', '-c', 'dd if=/dev/zero of=$0 bs=1M count=200 2>/dev/null; while :; do cat $0 >/dev/null; done', `${of.recordFile}.file`]) // prettier-ignore
  await poll('the page cache', deadlineMs, () => (of.event('high') > 0 ? true : undefined), () => of.read('memory.stat')) // prettier-ignore
  const program = of.start([await programOf('fill.c'), '118', '4', '0', 'then-hold'])
  await poll('the crossing to be answered', deadlineMs, () => (wire.state === 'let-go' ? true : undefined), () => of.read('memory.stat')) // prettier-ignore
  reader.child.kill('SIGKILL')
  t.equal(of.event('oom_kill'), 0)
  program.child.kill('SIGKILL')
})

const unanswerable = () => Promise.reject(new Error('no space left'))

t.test('a crossing that cannot be answered leaves the application without the throttle', async (t) => {
  const of = testCgroup(t, 64)
  const wire = new Tripwire({
    cgroup: of.cgroup,
    percent,
    recordFile: of.recordFile,
    crossed: unanswerable,
    log: quietLog,
  })
  await wire.start()
  t.teardown(() => wire.stop())
  const program = of.start([await programOf('fill.c'), '58', '1', '0'])
  t.equal(await program.ended, 0)
  t.equal(of.read('memory.high'), 'max')
  t.equal(wire.state, 'let-go')
})

t.test('what was there before is put back, by a sidecar that was started again as well', async (t) => {
  const of = testCgroup(t, 128)
  const options = { cgroup: of.cgroup, percent, recordFile: of.recordFile, crossed: async () => undefined, log: quietLog } // prettier-ignore
  const first = new Tripwire(options)
  await first.start()
  t.equal(of.read('memory.high'), String(Math.floor((128 * mebibyte * 0.85) / 65_536) * 65_536))
  // Killed here: nothing is put back. The next life reads what was there before the first.
  const second = new Tripwire(options)
  await second.start()
  await second.stop()
  t.equal(of.read('memory.high'), 'max')
  of.set('memory.high', 64 * mebibyte)
  const third = new Tripwire(options)
  await third.start()
  t.equal(of.read('memory.high'), String(64 * mebibyte), 'a lower one of somebody else stays')
  await third.stop()
  t.equal(of.read('memory.high'), String(64 * mebibyte))
})

t.test('a limit that somebody else changes moves the throttle', async (t) => {
  const of = testCgroup(t, 'max')
  const { wire } = await armed(t, of, async () => undefined)
  t.equal(wire.state, 'no-limit')
  t.equal(of.read('memory.high'), 'max')
  const movesTo = (bytes: number) =>
    poll('the throttle', deadlineMs, () => (of.read('memory.high') === String(bytes) ? true : undefined), () => of.read('memory.high')) // prettier-ignore
  of.set('memory.max', 100 * mebibyte)
  await movesTo(85 * mebibyte)
  of.set('memory.max', 200 * mebibyte)
  await movesTo(170 * mebibyte)
  t.equal(wire.state, 'armed')
})

t.test(
  'a throttle that somebody else takes away is back within a second, and what they set is kept',
  async (t) => {
    const of = testCgroup(t, 100)
    const { wire } = await armed(t, of, async () => undefined)
    const comesTo = (mebibytes: number) =>
    poll('the throttle', 1_000, () => (of.read('memory.high') === String(mebibytes * mebibyte) ? true : undefined), () => of.read('memory.high')) // prettier-ignore
    // Not by this process: inotify has to tell of others' writing, too.
    const write = async (value: number | string) =>
      t.equal(await of.start(['sh', '-c', `echo ${value} >${of.cgroup.folder}/memory.high`]).ended, 0)
    await write('max')
    await comesTo(85)
    await write(60 * mebibyte)
    await comesTo(60)
    await write(90 * mebibyte)
    await comesTo(85)
    t.equal(wire.state, 'armed')
    await wire.stop()
    t.equal(of.read('memory.high'), String(90 * mebibyte))
  },
)

const mean = (some: number[]) => some.reduce((sum, one) => sum + one, 0) / some.length

t.test(
  'gives way to pages of a file in constant use, and stops what fills the rest all the same',
  async (t) => {
    const of = testCgroup(t, 128)
    const { wire, crossings } = await armed(t, of, () => wire.disarm())
    const file = `${of.recordFile}.file`
    const hot = of.start([await programOf('hot.c'), '92', file, '24'])
    const describe = () => [of.read('memory.high'), of.read('memory.stat'), of.read('memory.pressure'), hot.lines.slice(-5).join()].join('\n') // prettier-ignore
    const laps = () => hot.lines.filter((line) => line.startsWith('lap ')).map((line) => Number(line.split(' ')[2])) // prettier-ignore
    const gaveWay = String(thresholdBytes(128 * mebibyte, 97))
    await poll('the throttle to give way', deadlineMs, () => (of.read('memory.high') === gaveWay ? true : undefined), describe) // prettier-ignore
    const held = laps()
    await poll('ten laps', deadlineMs, () => (laps().length >= held.length + 10 ? true : undefined), describe)
    const [slow, fast] = [mean(held.slice(-5)), mean(laps().slice(-5))]
    t.ok(fast < slow / 2, `a round took ${slow} ms under the throttle, then ${fast} ms`)
    t.strictSame(crossings, [], 'nothing was frozen for it')
    const program = of.start([await programOf('fill.c'), '24', '4', '0', 'then-hold'])
    await poll('the crossing to be answered', deadlineMs, () => (wire.state === 'let-go' ? true : undefined), describe) // prettier-ignore
    t.equal(of.event('oom_kill'), 0)
    program.child.kill('SIGKILL')
    hot.child.kill('SIGKILL')
  },
)
