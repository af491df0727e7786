/** Mostly without the launcher, which locks: to these pods the store is one that cannot lock. With it: test/launcher and test/e2e/lineage.test.ts. */
import { rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { lockFile } from '../../../sidecar/lineage/lock-process.ts'
import { beatMsOf, patienceOf } from '../../../sidecar/lineage/patience.ts'
import { Deadline } from '../../../src/deadline.ts'
import { ReprieveError } from '../../../src/errors.ts'
import { createDirectoryStore } from '../../../src/store/directory.ts'
import { sweeper } from '../../../src/store/slot-survey.ts'
import type { EventLog } from '../../../src/log.ts'
import type { OwnEpoch } from '../../../sidecar/lineage/epoch-file.ts'
import { folderFor, never, sampleDraft, writeTree } from '../../store/samples.ts'
import { until } from '../../until.ts'
import { quietLog } from '../quiet-log.ts'
import { containerPlan, lockIn, podPlan, standInStore } from '../stand-ins.ts'

const slot = { lineage: podPlan.lineage, container: containerPlan.name }
const patienceMsOf = (lineage: string, ageMs = 0) => patienceOf(lineage, ageMs).patienceMs
const silent = () => Promise.reject(new ReprieveError('store-failed', 'aborted', { aborted: true }))

type Test = Parameters<typeof folderFor>[0]

/** As `launcher lock` does: takes the lock until the end of its input, or says that it is taken. */
function lockingLauncher(t: Test): string {
  const file = `${folderFor(t)}/launcher`
  const script =
    '#!/bin/sh\ncase "$2" in *[!0-9]*) exit 125; esac\nexec 9>>"$3"\nif flock -n 9; then echo held; exec cat >/dev/null; else echo busy; fi\n'
  writeFileSync(file, script, { mode: 0o755 })
  return file
}

/** As it does on a mount that keeps locks to its node, on a node where nobody else has it. */
function grantingLauncher(t: Test): string {
  const file = `${folderFor(t)}/launcher`
  writeFileSync(file, '#!/bin/sh\n: >> "$3"\necho held\nexec cat >/dev/null\n', { mode: 0o755 })
  return file
}

/** Each pod has a store of its own, in one folder. */
function stage(t: Test) {
  const path = folderFor(t)
  const events: string[] = []
  const heard = ({ event }: { event: string }) => events.push(event)
  const log = { ...quietLog, warn: heard, error: heard, info: heard, debug: heard } as unknown as EventLog
  const pod = (uid: string, silentMs = 600_000, more = {}) => {
    const store = createDirectoryStore({ name: uid, path })
    const lock = lockIn(store, uid, { times: { beatMs: 10, silentMs }, log, ...more })
    t.teardown(() => lock.release())
    const put = () => store.put(sampleDraft({ slot }), writeTree(`${path}/source`, { a: Buffer.from('a') }), never) // prettier-ignore
    return { store, lock, put }
  }
  return { events, pod }
}

t.test('a store that does not answer names nobody, and may have somebody at work', async (t) => {
  const lock = lockIn(standInStore({ lockFile: silent }))
  t.match(await lock.take(0, AbortSignal.timeout(1_000)), { outcome: 'busy', isNamed: false })
  t.equal(lock.isTaken, false)
})

t.test('one that refuses keeps nobody out', async (t) => {
  const lock = lockIn(standInStore({ lockFile: () => Promise.reject(new Error('read-only')) }))
  t.match(await lock.take(0, AbortSignal.timeout(1_000)), { outcome: 'unfenced', why: /read-only/ })
})

t.test('a pod waits only as long as it is told for one that does not end', async (t) => {
  const lock = lockIn(standInStore({ lockFile: silent }))
  t.match(await lock.await(AbortSignal.timeout(60_000), { patienceMs: 0 }), { outcome: 'busy' })
})

t.test(
  'a further replica of a Deployment is known by its lineage, and waits for a moment only',
  async (t) => {
    const [replica, other] = [
      patienceMsOf('ml-team/Deployment/web'),
      patienceMsOf('ml-team/StatefulSet/web/0'),
    ]
    t.ok(replica < other && replica >= 2_000, 'long enough for the announcement of an end')
    t.equal(patienceMsOf('ml-team/ReplicaSet/web'), replica)
    t.equal(patienceMsOf('ml-team/ReplicaSet/web', 1_000), replica - 1_000, 'since its own start')
    t.ok(patienceMsOf('ml-team/ReplicaSet/web', 3_600_000) > 0, 'a dead one is still found out')
    t.equal(patienceMsOf('ml-team/StatefulSet/web/0', 3_600_000), other)
    t.ok(beatMsOf('ml-team/Deployment/web') <= replica / 2, 'a replica shows in that time that it lives')
    t.ok(beatMsOf('ml-team/StatefulSet/web/0') > other / 2)
    // Kinds of other groups, keys, and pods that a Deployment itself owns are not theirs.
    for (const lineage of [
      'ml-team/Deployment.example.org/web',
      'ml-team/Deployment/flink/flink-1',
      'ml-team/key/Deployment',
      'ml-team/Pod/web',
    ])
      t.equal(patienceMsOf(lineage), other, lineage)
  },
)

t.test('without locks a second pod is kept out as long as the first gives signs of life', async (t) => {
  const { pod } = stage(t)
  const [first, second] = [pod('one'), pod('two')]
  t.match(await first.lock.await(never), { outcome: 'taken' })
  t.match(await second.lock.await(never, { patienceMs: 200 }), {
    outcome: 'busy',
    holder: 'pod-one',
    isNamed: true,
  })
  t.match(await second.lock.take(0, never), { outcome: 'busy', holder: 'pod-one' })
  t.ok((await first.put()).manifest.epoch, 'the first one writes')
})

t.test('a pod that leaves lets the next one start at once', async (t) => {
  const { pod } = stage(t)
  const [first, second] = [pod('one'), pod('two')]
  await first.lock.await(never)
  const waiting = second.lock.await(never)
  await first.lock.leave()
  t.match(await waiting, { outcome: 'taken' })
  t.equal(second.lock.status.epoch, 2)
})

t.test(
  'a pod that leaves while its beat is under way hears of no other pod, and does not come back',
  async (t) => {
    const { pod, events } = stage(t)
    const { lock } = pod('one')
    for (let turn = 0; turn < 10; turn++) {
      t.match(await lock.await(never), { outcome: 'taken' })
      const confirming = lock.confirm()
      await lock.leave()
      await confirming
      t.match(lock.status, { epoch: undefined, fencedBy: undefined })
    }
    t.notOk(events.includes('lineage.fenced'))
  },
)

t.test('a silent pod is taken over, hears of it, and stores nothing more', async (t) => {
  const { pod, events } = stage(t)
  const told: string[] = []
  const fenced = (holder: string) => told.push(holder)
  const first = pod('one', 600_000, { times: { beatMs: 600_000 }, fenced })
  const second = pod('two', 100)
  await first.lock.await(never)
  await first.put()
  t.match(await second.lock.await(never, { patienceMs: 1 }), { outcome: 'taken' })
  t.ok(events.includes('lineage.taken_over'))
  await t.rejects(first.put(), { code: 'lineage-fenced' })
  await first.lock.confirm()
  // A beat of its own may be under way.
  await until('the first to hear of it', () => events.includes('lineage.fenced'))
  t.strictSame(told, ['pod-two'])
  t.match(first.lock.status, { fencedBy: 'pod-two', epoch: undefined })
  t.match(await first.lock.take(0, never), { outcome: 'fenced', holder: 'pod-two' })
  await second.lock.leave()
  t.match(
    await first.lock.take(0, never),
    { outcome: 'fenced' },
    'its application is not the newest any more, whoever is there',
  )
  t.match(await first.lock.await(never), { outcome: 'taken' }, 'its next container goes on from the newest')
})

t.test(
  'a container starts again while the store is still writing, which then takes no sign of life',
  async (t) => {
    const { pod } = stage(t)
    const [first, second] = [pod('one', 600_000, { times: { beatMs: 600_000 } }), pod('two')]
    await first.lock.await(never)
    first.store.epochs.beat = silent
    t.match(await first.lock.await(never), { outcome: 'taken' }, 'it is asked by reading')
    t.equal(first.lock.status.epoch, 1)
    await second.store.epochs.take(slot, { pod: 'pod-two', uid: 'two', node: 'n' }, never)
    t.match(await first.lock.await(never, { patienceMs: 0 }), { outcome: 'busy', holder: 'pod-two' })
  },
)

t.test('a pod that is overtaken hears of it by itself', async (t) => {
  const { pod } = stage(t)
  const [first, second] = [pod('one'), pod('two')]
  await first.lock.await(never)
  await second.store.epochs.take(slot, { pod: 'pod-two', uid: 'two', node: 'n' }, never)
  await until('the first to hear of it', () => first.lock.status.fencedBy === 'pod-two')
})

t.test('a sweep is no other pod: a slot that it removes is taken again', async (t) => {
  const { pod, events } = stage(t)
  const { store, lock, put } = pod('one', 600_000, { times: { beatMs: 600_000 } })
  await lock.await(never)
  await pod('sweep').store.epochs.take(slot, sweeper, never)
  await lock.confirm()
  t.match(lock.status, { fencedBy: undefined, epoch: undefined })
  t.match(await lock.take(0, never), { outcome: 'busy' }, 'it is still under way')
  rmSync(dirname(await store.lockFile(slot, never)), { recursive: true })
  t.match(await lock.take(0, never), { outcome: 'taken' })
  t.ok((await put()).manifest.epoch)
  t.ok(events.includes('lineage.swept'))
  t.notOk(events.includes('lineage.fenced'))
})

t.test(
  'a sweep that was killed in a slot keeps nobody out of it for long, though its lock be kept for ever',
  async (t) => {
    for (const store of ['that cannot lock', 'that keeps the lock of a dead node'] as const) {
      const { pod } = stage(t)
      const launcher = store === 'that cannot lock' ? undefined : lockingLauncher(t)
      const more = launcher === undefined ? {} : { launcher }
      const old = pod('old', 600_000, more)
      await old.lock.await(never)
      old.lock.release()
      const sweep = pod('sweep').store
      if (launcher !== undefined) {
        const locked = await lockFile(await sweep.lockFile(slot, never), 0, never, { launcher })
        t.teardown(() => locked.outcome === 'locked' && locked.process.stdin?.destroy())
      }
      await sweep.epochs.take(slot, sweeper, never)
      const next = pod('next', 500, more)
      t.match(await next.lock.await(never, { patienceMs: 1 }), { outcome: 'taken' }, `a store ${store}`)
      t.ok((await next.put()).manifest.epoch)
    }
  },
)

t.test('a sidecar that starts again keeps the epoch of its pod, unless it was taken meanwhile', async (t) => {
  const { pod } = stage(t)
  let own: OwnEpoch | undefined
  const file = { read: async () => own, write: async (epoch: OwnEpoch) => void (own = epoch) }
  const first = pod('one', 600_000, { file })
  await first.lock.await(never)
  first.lock.release()
  const again = pod('one', 600_000, { file })
  t.match(await again.lock.take(0, never), { outcome: 'taken' })
  t.equal(again.lock.status.epoch, 1)
  again.lock.release()
  await pod('two').store.epochs.take(slot, { pod: 'pod-two', uid: 'two', node: 'n' }, never)
  await delay(1)
  const third = pod('one', 600_000, { file })
  t.match(await third.lock.take(0, never), { outcome: 'busy', holder: 'pod-two' })
})

t.test('two tries of one pod at once do not find the slot taken by each other', async (t) => {
  const { pod } = stage(t)
  const { lock } = pod('one', 600_000, { launcher: lockingLauncher(t) })
  const ending = lock.leaving(Deadline.in(60_000))
  const lastCheckpoint = lock.take(0, never)
  t.match(await lastCheckpoint, { outcome: 'taken' })
  await ending
  t.equal(lock.status.epoch, 1, 'one epoch')
})

t.test(
  'a pod that took over without the lock takes it when it is free, so that the next one waits',
  async (t) => {
    const { pod } = stage(t)
    const launcher = lockingLauncher(t)
    const dead = pod('dead', 600_000, { launcher, times: { beatMs: 600_000 } })
    let own: OwnEpoch | undefined
    const file = { read: async () => own, write: async (epoch: OwnEpoch) => void (own = epoch) }
    const second = pod('two', 100, { launcher, file })
    const next = pod('next', 600_000, { launcher })
    await dead.lock.await(never)
    t.match(await second.lock.await(never, { patienceMs: 1 }), { outcome: 'taken' })
    t.match(own, { withoutLock: true })
    dead.lock.release()
    await until('the second to have the lock', () => own?.withoutLock === false)
    t.match(await next.lock.await(never, { patienceMs: 100 }), { outcome: 'busy', holder: 'pod-two' })
    t.ok((await second.put()).manifest.epoch, 'it is not fenced')
  },
)

t.test(
  'a pod that began unprotected takes over from one that died since, though its lock is kept',
  async (t) => {
    const { pod } = stage(t)
    const launcher = lockingLauncher(t)
    const first = pod('one', 600_000, { launcher, times: { beatMs: 600_000 } })
    // Long beside the pause between two beats, also where the disk is slow.
    const second = pod('two', 2_000, { launcher })
    await first.lock.await(never)
    t.match(await second.lock.await(never, { patienceMs: 0 }), { outcome: 'busy', holder: 'pod-one' })
    for (let tries = 0; tries < 10; tries++) {
      await first.lock.confirm()
      t.match(await second.lock.take(0, never), { outcome: 'busy', holder: 'pod-one' }, 'it lives')
      await delay(50)
    }
    await until('the second to have the slot', async () => {
      const { outcome } = await second.lock.take(0, never)
      return outcome === 'taken'
    })
    t.ok((await second.put()).manifest.epoch)
  },
)

t.test(
  'a lock that other nodes do not see fences no living pod, and takes over from a silent one',
  async (t) => {
    for (const isLocalAt of ['the old pod', 'the new pod', 'both'] as const) {
      const { pod } = stage(t)
      const on = (node: string, isLocal: boolean) => ({
        launcher: grantingLauncher(t),
        areLocksLocal: () => isLocal,
        identity: { name: `pod-${node}`, uid: node, node },
      })
      const [atOld, atNew] = [isLocalAt !== 'the new pod', isLocalAt !== 'the old pod']
      const old = pod('a', 600_000, on('a', atOld))
      t.match(await old.lock.await(never), { outcome: 'taken' })
      const young = pod('b', 600_000, on('b', atNew))
      t.match(await young.lock.take(0, never), { outcome: 'busy', holder: 'pod-a' }, isLocalAt)
      t.match(await young.lock.await(never, { patienceMs: 100 }), { outcome: 'busy', holder: 'pod-a' })
      t.ok((await old.put()).manifest.epoch, 'it is not fenced')
      old.lock.release()
      const next = pod('c', 100, on('c', atNew))
      t.match(await next.lock.await(never, { patienceMs: 100 }), { outcome: 'taken' })
    }
  },
)

t.test('on its own node such a lock is proof: the pod that had it is gone', async (t) => {
  const { pod } = stage(t)
  const local = { launcher: lockingLauncher(t), areLocksLocal: () => true }
  const [old, young] = [pod('a', 600_000, local), pod('b', 600_000, local)]
  await old.lock.await(never)
  t.match(await young.lock.take(0, never), { outcome: 'busy', holder: 'pod-a' })
  old.lock.release()
  t.match(await young.lock.await(never), { outcome: 'taken' }, 'at once')
})

t.test('of two pods that see one writer die, one has the slot and the other waits for it', async (t) => {
  const { pod } = stage(t)
  const dead = pod('dead', 600_000, { times: { beatMs: 600_000 } })
  await dead.lock.await(never)
  const pods = [pod('two', 2_000), pod('three', 2_000)]
  const outcomes = await Promise.all(pods.map(({ lock }) => lock.await(never, { patienceMs: 1 })))
  t.same(outcomes.map(({ outcome }) => outcome).toSorted(), ['busy', 'taken'])
  for (const { lock, put } of pods) if (lock.isTaken) t.ok((await put()).manifest.epoch, 'it is not fenced')
})

t.test(
  'a lock that the server frees at last does not fence the pod that took the slot without it',
  async (t) => {
    const { pod } = stage(t)
    const launcher = lockingLauncher(t)
    const dead = pod('dead', 600_000, { launcher, times: { beatMs: 600_000 } })
    const owner = pod('owner', 100, { launcher, times: { beatMs: 600_000, silentMs: 100 } })
    const third = pod('third', 600_000, { launcher })
    await dead.lock.await(never)
    t.match(await owner.lock.await(never, { patienceMs: 1 }), { outcome: 'taken' })
    dead.lock.release()
    await until('the third to find the lock free', async () => {
      const taken = await third.lock.take(0, never)
      return taken.outcome === 'busy' && taken.holder === 'pod-owner'
    })
    t.ok((await owner.put()).manifest.epoch, 'it is not fenced')
    await owner.lock.confirm()
    const fourth = pod('fourth', 600_000, { launcher })
    owner.lock.release()
    t.match(await fourth.lock.await(never), { outcome: 'taken' }, 'with its lock, the owner says so')
  },
)

t.test(
  'a container that starts again in its pod asks the store whether the slot is still its own',
  async (t) => {
    const { pod, events } = stage(t)
    const [cutOff, other] = [pod('one', 600_000, { times: { beatMs: 600_000 } }), pod('two')]
    await cutOff.lock.await(never)
    await other.store.epochs.take(slot, { pod: 'pod-two', uid: 'two', node: 'n' }, never)
    t.match(await cutOff.lock.await(never, { patienceMs: 0 }), { outcome: 'busy', holder: 'pod-two' })
    t.ok(events.includes('lineage.fenced'))
    const hung = pod('hung').store
    let hangs = false
    const newest = () => (hangs ? silent() : Promise.resolve(undefined))
    const lock = lockIn({ ...hung, epochs: { ...hung.epochs, beat: silent, newest } })
    t.teardown(() => lock.release())
    t.match(await lock.await(never), { outcome: 'taken' })
    hangs = true
    t.match(await lock.await(never, { patienceMs: 0 }), { unanswered: true }, 'no answer is no leave')
  },
)

t.test('an announced end is waited for by a pod that has waited for another one before', async (t) => {
  const { pod } = stage(t)
  const launcher = lockingLauncher(t)
  const [ending, next] = [pod('one', 600_000, { launcher }), pod('two', 600_000, { launcher })]
  await ending.lock.await(never)
  await ending.lock.leaving(Deadline.in(600_000))
  const waiting = next.lock.await(never, { patienceMs: 0 })
  await delay(500)
  await ending.lock.leave()
  t.match(await waiting, { outcome: 'taken' })
})

t.test(
  'a further replica that begins with the first starts at once, where it sees that it lives',
  async (t) => {
    const { pod } = stage(t)
    const on = (node: string, uid: string) =>
      pod(uid, 600_000, { launcher: lockingLauncher(t), identity: { name: `pod-${uid}`, uid, node } })
    const first = on('one', 'a')
    const patience = { patienceMs: 600_000, besideSiblings: true }
    await first.lock.await(never)
    t.match(await on('one', 'b').lock.await(never, patience), { outcome: 'busy', holder: 'pod-a' })
    t.match(await on('other', 'c').lock.await(never, patience), { outcome: 'busy', holder: 'pod-a' })
    await first.lock.leaving(Deadline.in(600_000))
    const replacement = on('one', 'd').lock.await(never, patience)
    await delay(500)
    await first.lock.leave()
    t.match(await replacement, { outcome: 'taken' }, 'one that announced its end is waited for')
  },
)

t.test('the launcher is told whole milliseconds', async (t) => {
  const locked = await lockFile(`${folderFor(t)}/claim`, 0.5, never, { launcher: lockingLauncher(t) })
  t.equal(locked.outcome, 'locked')
  if (locked.outcome === 'locked') locked.process.stdin?.destroy()
})

t.test('a correction of the time does not shorten the wait for a pod that announced its end', async (t) => {
  const { pod } = stage(t)
  const launcher = lockingLauncher(t)
  const [ending, next] = [pod('one', 600_000, { launcher }), pod('two', 600_000, { launcher })]
  await ending.lock.await(never)
  await ending.lock.leaving(Deadline.in(600_000))
  const waiting = next.lock.await(never, { patienceMs: 1 })
  await delay(100)
  const { now } = Date
  t.teardown(() => (Date.now = now))
  Date.now = () => now() + 3_600_000
  await delay(1_000)
  await ending.lock.leave()
  t.match(await waiting, { outcome: 'taken' })
})
