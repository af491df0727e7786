/** The brake where something is in its way, with a folder of plain files for a cgroup. On real ones: tripwire.vm.test.ts. */
import { writeFileSync } from 'node:fs'
import t from 'tap'
import type { Test } from 'tap'
import { Tripwire, type Crossing } from '../../../sidecar/memory/tripwire.ts'
import { quietLog } from '../quiet-log.ts'
import { until } from '../stand-ins.ts'
import { brakeBytes, limitBytes, mebibyte, plainCgroup } from './plain-cgroup.ts'

/** Of the earlier life, whose brake is set. */
function leftBehind(t: Test) {
  const of = plainCgroup(t)
  of.set('memory.high', brakeBytes)
  writeFileSync(of.file('record'), 'max')
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

t.test('without inotify the brake is set, and usage looked at now and then', async (t) => {
  const of = leftBehind(t)
  of.cgroup.watchEvents = tooManyWatches
  const crossings: Crossing[] = []
  const wire = wireOf(t, of, async (crossing) => {
    crossings.push(crossing)
    await wire.letGo()
  })
  await wire.start()
  t.equal(wire.state, 'armed')
  of.uses(90 * mebibyte)
  await until('a look', () => crossings.length > 0, 10_000)
  t.match(crossings, [{ limitBytes, usage: { currentBytes: 90 * mebibyte } }])
  t.equal(of.read('memory.high'), 'max')
})

t.test('what was let go is braked again when there is room, and that is told', async (t) => {
  const of = plainCgroup(t)
  let relieved = 0
  const wire = new Tripwire({
    cgroup: of.cgroup,
    percent: 85,
    recordFile: of.file('record'),
    crossed: () => wire.letGo(),
    relieved: () => relieved++,
    log: quietLog,
  })
  t.teardown(() => wire.stop())
  of.uses(90 * mebibyte)
  await wire.start()
  await until('it to be let go', () => wire.state === 'let-go', 10_000)
  t.equal(relieved, 0)
  of.uses(20 * mebibyte)
  await until('the brake', () => wire.state === 'armed', 10_000)
  t.equal(relieved, 1)
})

t.test('what can be watched again is', async (t) => {
  const of = leftBehind(t)
  const watchEvents = of.cgroup.watchEvents.bind(of.cgroup)
  let tries = 0
  of.cgroup.watchEvents = (changed) => (++tries === 1 ? tooManyWatches() : watchEvents(changed))
  const crossings: Crossing[] = []
  const wire = wireOf(t, of, async (crossing) => {
    crossings.push(crossing)
    await wire.letGo()
  })
  await wire.start()
  await until('a second try', () => tries === 2, 10_000)
  of.uses(90 * mebibyte)
  of.set('memory.events', 'high 1\n')
  await until('the event', () => crossings.length > 0, 2_000)
  t.equal(crossings.length, 1)
})

t.test('what cannot be started leaves nothing set, of an earlier life neither', async (t) => {
  const of = leftBehind(t)
  of.cgroup.setBrake = () => Promise.reject(new Error('EIO'))
  const wire = wireOf(t, of, async () => undefined)
  await t.rejects(wire.start(), /EIO/)
  t.equal(of.read('memory.high'), 'max')
  t.equal(wire.state, 'stopped')
})

t.test('while a crossing is being answered the brake stays let go, however usage falls', async (t) => {
  const of = plainCgroup(t)
  const answered = Promise.withResolvers<void>()
  let told = 0
  const wire = wireOf(t, of, async () => {
    told++
    await wire.letGo()
    await answered.promise
  })
  let looks = 0
  const limit = of.cgroup.limitBytes.bind(of.cgroup)
  of.cgroup.limitBytes = async () => (looks++, limit())
  of.uses(90 * mebibyte)
  await wire.start()
  await until('the crossing', () => told === 1)
  of.uses(10 * mebibyte)
  const before = looks
  await until('two looks', () => looks >= before + 2, 15_000)
  t.equal(wire.state, 'let-go')
  t.equal(of.read('memory.high'), 'max')
  answered.resolve()
  await until('the brake', () => wire.state === 'armed', 10_000)
})

t.test('a crossing that is answered after the end sets no brake', async (t) => {
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
