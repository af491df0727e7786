/** The throttle where something is in its way, with a folder of plain files for a cgroup. On real ones: tripwire.vm.test.ts. */
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import t from 'tap'
import type { Test } from 'tap'
import { Tripwire, type Crossing } from '../../../../sidecar/triggers/memory/tripwire.ts'
import { quietLog } from '../../quiet-log.ts'
import { fakeClock } from '../../../fake-clock.ts'
import { until } from '../../../until.ts'
import { throttleBytes, limitBytes, mebibyte, plainCgroup } from './plain-cgroup.ts'

/** How often all is looked at. */
const lookMs = 5_000

/** Of the earlier life, whose throttle is set. */
function leftBehind(t: Test) {
  const of = plainCgroup(t)
  of.set('memory.high', throttleBytes)
  writeFileSync(of.file('record'), `max ${throttleBytes}`)
  return of
}

function wireOf(t: Test, of: ReturnType<typeof plainCgroup>, crossed: (crossing: Crossing) => Promise<void>) {
  const wire = new Tripwire({ cgroup: of.cgroup, percent: 85, recordFile: of.file('record'), crossed, log: quietLog }) // prettier-ignore
  t.teardown(() => wire.stop())
  return wire
}

const tooManyWatches = () => {
  throw Object.assign(new Error('EMFILE: too many open files, watch'), { code: 'EMFILE' })
}

t.test('without inotify the throttle is set, and usage looked at now and then', async (t) => {
  const clock = fakeClock(t)
  const of = leftBehind(t)
  of.cgroup.watchEvents = tooManyWatches
  const crossings: Crossing[] = []
  const wire = wireOf(t, of, async (crossing) => {
    crossings.push(crossing)
    await wire.disarm()
  })
  await wire.start()
  t.equal(wire.state, 'armed')
  of.uses(90 * mebibyte)
  await clock.pass(lookMs)
  await until('a look', () => crossings.length > 0)
  t.match(crossings, [{ limitBytes, usage: { currentBytes: 90 * mebibyte } }])
  t.equal(of.read('memory.high'), 'max')
})

t.test('what was released is throttled again when there is room, and that is told', async (t) => {
  const clock = fakeClock(t)
  const of = plainCgroup(t)
  let relieved = 0
  const wire = new Tripwire({
    cgroup: of.cgroup,
    percent: 85,
    recordFile: of.file('record'),
    crossed: () => wire.disarm(),
    relieved: () => relieved++,
    log: quietLog,
  })
  t.teardown(() => wire.stop())
  of.uses(90 * mebibyte)
  await wire.start()
  await until('it to run unhindered', () => wire.state === 'let-go')
  t.equal(relieved, 0)
  of.uses(20 * mebibyte)
  await clock.pass(lookMs)
  await until('the throttle', () => wire.state === 'armed')
  t.equal(relieved, 1)
})

t.test('what can be watched again is', async (t) => {
  const clock = fakeClock(t)
  const of = leftBehind(t)
  const watchEvents = of.cgroup.watchEvents.bind(of.cgroup)
  let tries = 0
  of.cgroup.watchEvents = (changed) => (++tries === 1 ? tooManyWatches() : watchEvents(changed))
  const crossings: Crossing[] = []
  const wire = wireOf(t, of, async (crossing) => {
    crossings.push(crossing)
    await wire.disarm()
  })
  await wire.start()
  await clock.pass(lookMs)
  await until('a second try', () => tries === 2)
  of.uses(90 * mebibyte)
  of.set('memory.events', 'high 1\n')
  // Before the next look: only the event tells. What comes of it may rest in between.
  const nextLookMs = clock.ms() + lookMs
  await until('the event', async () => {
    if (clock.ms() + 20 < nextLookMs) await clock.pass(10)
    return crossings.length > 0
  })
  t.equal(crossings.length, 1)
})

t.test('what cannot be started leaves nothing set, of an earlier life neither', async (t) => {
  const of = leftBehind(t)
  of.cgroup.setThrottle = () => Promise.reject(new Error('EIO'))
  const wire = wireOf(t, of, async () => undefined)
  await t.rejects(wire.start(), /EIO/)
  t.equal(of.read('memory.high'), 'max')
  t.equal(wire.state, 'stopped')
})

t.test('while a crossing is being answered the throttle stays removed, however usage falls', async (t) => {
  const clock = fakeClock(t)
  const of = plainCgroup(t)
  const answered = Promise.withResolvers<void>()
  let told = 0
  const wire = wireOf(t, of, async () => {
    told++
    await wire.disarm()
    await answered.promise
  })
  let looks = 0
  const limit = of.cgroup.limitBytes.bind(of.cgroup)
  of.cgroup.limitBytes = async () => (looks++, limit())
  of.uses(90 * mebibyte)
  await wire.start()
  await until('the crossing', () => told === 1)
  of.uses(10 * mebibyte)
  for (let count = 0; count < 2; count++) {
    const before = looks
    await clock.pass(lookMs)
    await until('a look', () => looks > before)
  }
  t.equal(wire.state, 'let-go')
  t.equal(of.read('memory.high'), 'max')
  answered.resolve()
  await clock.pass(lookMs)
  await until('the throttle', () => wire.state === 'armed')
})

t.test('a crossing that is answered after the end sets no throttle', async (t) => {
  const of = plainCgroup(t)
  const answered = Promise.withResolvers<void>()
  let told = 0
  const done = Promise.withResolvers<void>()
  const wire = wireOf(t, of, async () => {
    told++
    await answered.promise
    await wire.arm()
    done.resolve()
  })
  of.uses(90 * mebibyte)
  await wire.start()
  await until('the crossing', () => told === 1)
  await wire.stop()
  answered.resolve()
  await done.promise
  t.equal(of.read('memory.high'), 'max')
  t.equal(wire.state, 'stopped')
})

t.test('a throttle that others take away comes back, whether their writing is told or not', async (t) => {
  const clock = fakeClock(t)
  for (const isTold of [true, false]) {
    const of = plainCgroup(t)
    if (!isTold) of.cgroup.watchEvents = tooManyWatches
    const wire = wireOf(t, of, async () => undefined)
    await wire.start()
    of.set('memory.high', 'max')
    if (!isTold) await clock.pass(lookMs)
    await until('the throttle', () => of.read('memory.high') === String(throttleBytes))
    t.equal(wire.state, 'armed')
  }
})

t.test('what others set while the throttle stands is what is kept to, and put back', async (t) => {
  const of = plainCgroup(t)
  of.set('memory.high', 60 * mebibyte)
  const wire = wireOf(t, of, async () => undefined)
  await wire.start()
  t.equal(of.read('memory.high'), String(60 * mebibyte), 'a lower one stays')
  // As the kubelet does after it has raised a limit, with MemoryQoS.
  of.set('memory.high', 90 * mebibyte)
  await until('the throttle', () => of.read('memory.high') === String(throttleBytes))
  await wire.disarm()
  t.equal(of.read('memory.high'), String(90 * mebibyte))
  of.set('memory.high', 95 * mebibyte)
  await wire.stop()
  t.equal(of.read('memory.high'), String(95 * mebibyte))
})

t.test(
  'a sidecar that is started again knows its own throttle from what others have set meanwhile',
  async (t) => {
    const of = leftBehind(t)
    const first = wireOf(t, of, async () => undefined)
    await first.start()
    of.set('memory.high', 90 * mebibyte)
    await until('the throttle', () => of.read('memory.high') === String(throttleBytes))
    // Killed here: its successor finds the throttle as it was left.
    const second = wireOf(t, of, async () => undefined)
    await second.start()
    await second.disarm()
    t.equal(of.read('memory.high'), String(90 * mebibyte))
    of.set('memory.high', 95 * mebibyte)
    const third = wireOf(t, of, async () => undefined)
    await third.start()
    await third.stop()
    t.equal(of.read('memory.high'), String(95 * mebibyte))
  },
)

t.test('the record of a cgroup that is gone goes with it', async (t) => {
  const of = plainCgroup(t)
  const wire = wireOf(t, of, async () => undefined)
  await wire.start()
  of.cgroup.raiseThrottle = () => {
    throw Object.assign(new Error('ENODEV: no such device'), { code: 'ENODEV' })
  }
  await wire.stop()
  t.equal(existsSync(of.file('record')), false)
})

t.test('the record of a throttle that could not be taken away stays', async (t) => {
  const of = plainCgroup(t)
  const wire = wireOf(t, of, async () => undefined)
  await wire.start()
  const raiseThrottle = of.cgroup.raiseThrottle.bind(of.cgroup)
  of.cgroup.raiseThrottle = () => {
    throw new Error('EIO')
  }
  await t.rejects(wire.stop(), /EIO/)
  t.equal(existsSync(of.file('record')), true)
  of.cgroup.raiseThrottle = raiseThrottle
})

/** Usage is at the limit with page cache that is taken back and read again all the time. */
async function stalled(t: Test, cache: number) {
  const of = plainCgroup(t)
  of.uses(98 * mebibyte)
  of.set('memory.stat', `active_file ${cache}\n`)
  let crossings = 0
  const options = { cgroup: of.cgroup, percent: 85, recordFile: of.file('record'), log: quietLog, lookMs: 20 }
  const wire = new Tripwire({ ...options, crossed: async () => void crossings++ })
  t.teardown(() => wire.stop())
  let us = 0
  const stall = setInterval(() => {
    us += 1_000_000
    of.set('memory.pressure', `some avg10=90.00 avg60=0.00 avg300=0.00 total=${us}\nfull avg10=90.00 avg60=0.00 avg300=0.00 total=${us}\n`) // prettier-ignore
  }, 5)
  t.teardown(() => clearInterval(stall))
  await wire.start()
  const throttlesAt = (percent: number) =>
    until(`a throttle at ${percent} %`, () => of.read('memory.high') === String(percent * mebibyte))
  return { of, wire, throttlesAt, calm: () => clearInterval(stall), crossings: () => crossings }
}

t.test('gives way to pages in constant use, until usage is down', async (t) => {
  const { of, wire, throttlesAt, calm, crossings } = await stalled(t, 20 * mebibyte)
  await throttlesAt(97)
  t.equal(wire.state, 'armed')
  t.equal(crossings(), 0)
  calm()
  of.uses(70 * mebibyte)
  await throttlesAt(85)
})

t.test('has given way for this limit only', async (t) => {
  const { of, throttlesAt, calm } = await stalled(t, 20 * mebibyte)
  await throttlesAt(97)
  calm()
  of.set('memory.max', 2 * limitBytes)
  await throttlesAt(170)
})

t.test('does not give way where what holds is somebody else’s', async (t) => {
  const { of, throttlesAt } = await stalled(t, 20 * mebibyte)
  of.set('memory.high', 50 * mebibyte)
  await new Promise((resolve) => setTimeout(resolve, 500))
  t.equal(of.read('memory.high'), String(50 * mebibyte))
  of.set('memory.high', 'max')
  await throttlesAt(97)
})

t.test('a throttle that has given way stops what fills the memory all the same', async (t) => {
  const { of, throttlesAt, crossings } = await stalled(t, 20 * mebibyte)
  await throttlesAt(97)
  of.set('memory.stat', 'active_file 0\n')
  await until('the crossing', () => crossings() > 0)
})

t.test('what others write while the throttle is being set is noticed when it is', async (t) => {
  const of = plainCgroup(t)
  const setThrottle = of.cgroup.setThrottle.bind(of.cgroup)
  const reclaimed = Promise.withResolvers<void>()
  of.cgroup.setThrottle = async (bytes) => {
    await setThrottle(bytes)
    await reclaimed.promise
  }
  const options = { cgroup: of.cgroup, percent: 85, recordFile: of.file('record'), log: quietLog, lookMs: 60_000 } // prettier-ignore
  const wire = new Tripwire({ ...options, crossed: async () => undefined })
  t.teardown(() => wire.stop())
  const started = wire.start()
  await until('the throttle', () => of.read('memory.high') === String(throttleBytes))
  await new Promise((resolve) => setTimeout(resolve, 100))
  of.set('memory.high', 'max')
  await new Promise((resolve) => setTimeout(resolve, 100))
  reclaimed.resolve()
  await started
  await until('the throttle again', () => of.read('memory.high') === String(throttleBytes))
})

t.test(
  'what is recorded of the throttle is what guard reads: the old value, ours, and whose they are',
  async (t) => {
    const of = plainCgroup(t)
    const wire = wireOf(t, of, async () => undefined)
    await wire.start()
    t.equal(readFileSync(of.file('record'), 'utf8'), `max ${throttleBytes}\n${of.cgroup.folder}`)
  },
)

t.test('where the throttle for a new limit cannot be recorded the old one does not stay', async (t) => {
  const of = plainCgroup(t)
  const wire = wireOf(t, of, async () => undefined)
  await wire.start()
  t.equal(of.read('memory.high'), String(throttleBytes))
  // As on a full disk: no write to it succeeds.
  symlinkSync('/dev/full', of.file('record.new'))
  of.set('memory.max', 4 * limitBytes)
  await t.rejects(wire.arm(), { code: 'ENOSPC' })
  t.equal(of.read('memory.high'), 'max')
  t.equal(wire.state, 'let-go')
})

t.test('what has ended does not take away the next one’s throttle', async (t) => {
  const of = plainCgroup(t)
  const first = wireOf(t, of, async () => undefined)
  await first.start()
  await first.stop()
  const second = new Tripwire({ cgroup: of.cgroup, percent: 85, recordFile: of.file('next'), crossed: async () => undefined, log: quietLog }) // prettier-ignore
  t.teardown(() => second.stop())
  await second.start()
  await first.disarm()
  t.equal(of.read('memory.high'), String(throttleBytes))
  t.equal(first.state, 'stopped')
})

/** Let go for want of memory, at 90 of 100 MiB. */
async function disarm(t: Test, lookMs: number, crossed: () => Promise<void> = async () => undefined) {
  const of = plainCgroup(t)
  // By looks alone, or by inotify alone.
  if (lookMs < 1000) of.cgroup.watchSettings = tooManyWatches
  const count = { relieved: 0, crossings: 0 }
  const wire = new Tripwire({
    cgroup: of.cgroup,
    percent: 85,
    recordFile: of.file('record'),
    crossed: async () => {
      count.crossings++
      await wire.disarm()
      await crossed()
    },
    relieved: () => count.relieved++,
    log: quietLog,
    lookMs,
  })
  t.teardown(() => wire.stop())
  of.uses(90 * mebibyte)
  await wire.start()
  await until('it to run unhindered', () => wire.state === 'let-go')
  return { of, wire, count }
}

t.test('what was released is throttled again as soon as its limit is raised far enough', async (t) => {
  const [limit, throttle] = [120 * mebibyte, 102 * mebibyte]
  for (const isTold of [true, false]) {
    const { of, wire, count } = await disarm(t, isTold ? 60_000 : 20)
    of.set('memory.max', limit)
    await until('the throttle', () => of.read('memory.high') === String(throttle))
    await until('that to be told', () => count.relieved === 1)
    t.equal(wire.state, 'armed')
    t.equal(count.crossings, 1)
    of.uses(110 * mebibyte)
    of.set('memory.events', 'high 1\n')
    await until('the next crossing', () => count.crossings === 2)
  }
})

t.test(
  'a raised limit below which it is still full throttles nobody, until usage is below its threshold',
  async (t) => {
    const { of, wire, count } = await disarm(t, 20)
    of.set('memory.max', 102 * mebibyte)
    await new Promise((resolve) => setTimeout(resolve, 300))
    t.equal(wire.state, 'let-go')
    t.equal(of.read('memory.high'), 'max')
    of.uses(80 * mebibyte)
    await until('the throttle', () => wire.state === 'armed')
    of.uses(90 * mebibyte)
    await until('it to run unhindered again', () => wire.state === 'let-go')
    of.uses(80 * mebibyte)
    await new Promise((resolve) => setTimeout(resolve, 300))
    t.equal(wire.state, 'let-go', 'of a limit that is the same a tooth is no relief')
    t.equal(count.crossings, 2)
  },
)

t.test('a limit that is raised while the crossing is being answered throttles it only then', async (t) => {
  const answered = Promise.withResolvers<void>()
  const { of, wire, count } = await disarm(t, 20, () => answered.promise)
  of.set('memory.max', 120 * mebibyte)
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.equal(wire.state, 'let-go')
  answered.resolve()
  await until('the throttle', () => wire.state === 'armed')
  t.equal(count.relieved, 1)
})

t.test('a limit that is raised after the end throttles nobody', async (t) => {
  const { of, wire, count } = await disarm(t, 20)
  await wire.stop()
  of.set('memory.max', 120 * mebibyte)
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.equal(of.read('memory.high'), 'max')
  t.equal(count.relieved, 0)
})

t.test('a throttle that cannot be set for a raised limit is not tried without end', async (t) => {
  const { of, wire } = await disarm(t, 20)
  let tries = 0
  of.cgroup.setThrottle = () => (tries++, Promise.reject(new Error('EIO')))
  of.set('memory.max', 120 * mebibyte)
  await until('a try', () => tries > 0)
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.equal(tries, 1)
  t.equal(wire.state, 'let-go')
})
