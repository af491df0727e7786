/** All of libuv's threads hang in calls into a store that does not answer: the application is released all the same. */
import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync } from 'node:fs'
import { open, readFile, type FileHandle } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { answerCrossing } from '../../../../sidecar/triggers/memory/pressure.ts'
import type { Answered } from '../../../../sidecar/triggers/memory/remedies.ts'
import { Tripwire } from '../../../../sidecar/triggers/memory/tripwire.ts'
import { quietLog } from '../../quiet-log.ts'
import { containerPlan } from '../../stand-ins.ts'
import { until } from '../../../until.ts'
import { throttleBytes, limitBytes, mebibyte, plainCgroup } from './plain-cgroup.ts'

/** More than there are threads. A pipe that nobody writes to hangs who opens it. */
const hanging = 16

/** @returns whether the pool is full still, and what empties it */
function fillThreadPool(t: Test, folder: string) {
  const pipe = `${folder}/pipe`
  execFileSync('mkfifo', [pipe])
  const opened: Promise<FileHandle>[] = Array.from({ length: hanging }, () => open(pipe, 'r'))
  let isFull = true
  const another = readFile(import.meta.filename).then(() => (isFull = false))
  let writer: number | undefined
  const empty = async () => {
    writer ??= openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK)
    await Promise.all([another, ...opened.map(async (file) => (await file).close())].map((work) => work.catch(() => undefined))) // prettier-ignore
  }
  t.teardown(async () => {
    await empty()
    if (writer !== undefined) closeSync(writer)
  })
  return { isFull: () => isFull, empty }
}

async function armed(t: Test) {
  const of = plainCgroup(t)
  const options = { cgroup: of.cgroup, percent: 85, recordFile: of.file('record'), log: quietLog }
  const wire = new Tripwire({ ...options, crossed: async () => undefined })
  await wire.start()
  t.teardown(() => wire.stop())
  t.equal(of.read('memory.high'), String(throttleBytes))
  return { ...of, wire }
}

const withinMs = 2_000

t.test('the throttle is released, and put back at the end', async (t) => {
  for (const what of ['disarm', 'stop'] as const) {
    const of = await armed(t)
    const { isFull, empty } = fillThreadPool(t, of.folder)
    await Promise.race([of.wire[what](), sleep(withinMs)])
    t.equal(of.read('memory.high'), 'max', what)
    t.ok(isFull())
    await empty()
  }
})

t.test('it is frozen, and goes on although what was begun about it hangs', async (t) => {
  const of = await armed(t)
  const { isFull, empty } = fillThreadPool(t, of.folder)
  of.uses(90 * mebibyte)
  const hung = Promise.withResolvers<never>()
  const told: Answered[] = []
  const answered = answerCrossing(
    {
      plan: containerPlan.memory,
      container: {
        doing: 'runs',
        leaves: async () => undefined,
        podUid: 'this',
        isOnTrial: false,
        fillsAgain: () => undefined,
        checkpoint: () => hung.promise,
        recordedNeed: () => hung.promise,
        recordNeed: () => hung.promise,
        leave: () => undefined,
      },
      cgroup: of.cgroup,
      grower: undefined,
      throttle: of.wire,
      name: 'app',
      launcherPid: 42,
      log: quietLog,
      standstillMs: 100,
      reschedules: { failed: 0 },
      report: (answer) => told.push(answer),
    },
    { limitBytes, usage: { currentBytes: 90 * mebibyte, reclaimableBytes: 0 } },
  )
  await until('it to be frozen', () => of.read('cgroup.freeze') === '1')
  await until('it to run unhindered', () => of.read('cgroup.freeze') === '0')
  t.equal(of.read('memory.high'), 'max', 'and not held by the throttle either')
  t.match(told, [{ did: 'nothing', why: /after 100 ms of standing still/ }])
  t.ok(isFull())
  hung.reject(new Error('given up'))
  await t.rejects(answered, /given up/)
  await empty()
})

t.test('a throttle that could not be set in time is not set after it was released', async (t) => {
  const of = await armed(t)
  const { isFull, empty } = fillThreadPool(t, of.folder)
  const arming = of.wire.arm()
  await of.wire.disarm()
  t.ok(isFull())
  await empty()
  await arming
  t.equal(of.read('memory.high'), 'max')
  t.equal(of.wire.state, 'let-go')
})
