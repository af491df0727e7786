/**
 * Epochs on real NFS mounts, of versions 4.2 and 3: the kernel's server and two nodes (network namespaces), one of which is cut off the network.
 * The server keeps the lock of a node that is gone for its lease (version 4; 60 s here, 90 s as distributions have it), or for ever (version 3).
 * REPRIEVE_NFS=3 runs those of one version.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { isCheckpointId } from '../../src/checkpoint-id.ts'
import { createDirectoryStore } from '../../src/store/directory.ts'
import { volumePaths } from '../../src/volume.ts'
import { programLayer } from '../images/reprieve.ts'
import { lockIn } from '../sidecar/stand-ins.ts'
import { never, sampleDraft, writeTree } from '../store/samples.ts'
import { nfsSlot } from './slot.ts'

const source = '/var/tmp/nfs-source'
mkdirSync(volumePaths.bin, { recursive: true })
copyFileSync(join(await programLayer(), 'usr/local/lib/reprieve/launcher'), volumePaths.launcher)
writeTree(source, Object.fromEntries(Array.from({ length: 16 }, (_, index) => [`file-${index}`, Buffer.alloc(50_000, index)]))) // prettier-ignore
execFileSync('sh', [join(import.meta.dirname, 'server.sh'), '/var/tmp/nfs-export', 'a', 'b'], {
  stdio: ['ignore', 'inherit', 'inherit'],
})

/** The guest is slow: the lease must not be over before the replacement has taken the slot over, and been looked at. */
const silentMs = 10_000

const holder = (pod: string) => ({ pod, uid: pod, node: pod })
const network = (node: string, state: 'up' | 'down') =>
  execFileSync('ip', ['link', 'set', `to-${node}`, state])

/** A pod on a node, as a process of its own. */
function startPod(folder: string, uid: string) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'pod.ts'), folder, source, uid], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const say = (word: string) => child.stdin.write(`${word}\n`)
  const answer = async () => JSON.parse((await answers.next()).value ?? '{}') as Record<string, unknown>
  return { child, say, answer, ask: (word: string) => (say(word), answer()) }
}

for (const version of (process.env.REPRIEVE_NFS ?? '4 3').split(' ')) {
  const folders = (name: string) =>
    [`/mnt/a-${version}/${name}-${version}`, `/mnt/b-${version}/${name}-${version}`] as const
  const put = (store: ReturnType<typeof createDirectoryStore>) => store.put(sampleDraft({ slot: nfsSlot }), source, never) // prettier-ignore

  t.test(`NFSv${version}: a node that knows nothing of the newer epoch writes nothing more`, async (t) => {
    const [onA, onB] = folders('unaware')
    const [a, b] = [
      createDirectoryStore({ name: 'a', path: onA }),
      createDirectoryStore({ name: 'b', path: onB }),
    ]
    const seen = new Set<number | undefined>()
    for (let round = 0; round < 4; round++) {
      await a.epochs.take(nfsSlot, holder('a'), never)
      const began = performance.now()
      seen.add((await put(a)).manifest.epoch)
      const putMs = performance.now() - began
      // Before a write, in its middle, or at its end.
      const writing = put(a).then(() => 'stored', (error: { code: string }) => error.code) // prettier-ignore
      await delay((putMs * round) / 3)
      await b.epochs.take(nfsSlot, holder('b'), never)
      const { manifests } = await b.list(nfsSlot, never)
      const outcome = await writing
      await t.rejects(put(a), { code: 'lineage-fenced' })
      await t.rejects(a.writeRecord(nfsSlot, { version: 1, trials: {} }, never), { code: 'lineage-fenced' })
      await t.rejects(a.prune(nfsSlot, 0, never), { code: 'lineage-fenced' })
      const after = (await b.list(nfsSlot, never)).manifests
      t.same(after.map(({ id }) => id), manifests.map(({ id }) => id), `round ${round}: ${outcome}`) // prettier-ignore
      seen.add((await put(b)).manifest.epoch)
      await b.prune(nfsSlot, 1, never)
    }
    t.equal(seen.size, 8, 'each writer had an epoch of its own')
  })

  t.test(`NFSv${version}: a lock that outlives its node does not keep the replacement out`, async (t) => {
    const [onA, onB] = folders('dead')
    const pod = startPod(onA, 'a')
    t.match(await pod.ask('take'), { outcome: 'taken' })
    const { stored } = await pod.ask('put')
    network('a', 'down')
    t.teardown(() => network('a', 'up'))
    pod.child.kill('SIGKILL')
    const store = createDirectoryStore({ name: 'b', path: onB })
    const file = await store.lockFile(nfsSlot, never)
    const isLocked = () =>
      // Opening the file waits for the dead client's delegation: no answer is none that the lock is free.
      spawnSync(volumePaths.launcher, ['lock', '0', file], {
        input: '',
        timeout: 3_000,
      }).stdout.toString() !== 'held\n'
    t.ok(isLocked(), 'the server keeps the lock')
    const lock = lockIn(store, 'b', { times: { silentMs } })
    t.teardown(() => lock.release())
    const began = performance.now()
    t.match(await lock.await(never), { outcome: 'taken' })
    t.comment(`taken over after ${Math.round((performance.now() - began) / 1000)} s`)
    t.ok(isLocked(), 'and still keeps it')
    t.match((await store.list(nfsSlot, never)).manifests, [{ id: stored, epoch: 1 }])
    t.equal((await put(store)).manifest.epoch, 2)
    network('a', 'up')
  })

  t.test(
    `NFSv${version}: a pod that was cut off stores nothing in the slot that another one owns`,
    async (t) => {
      const [onA, onB] = folders('cut-off')
      const pod = startPod(onA, 'a')
      t.match(await pod.ask('take'), { outcome: 'taken' })
      const { stored } = await pod.ask('put')
      pod.say('put')
      network('a', 'down')
      t.teardown(() => network('a', 'up'))
      const store = createDirectoryStore({ name: 'b', path: onB })
      const lock = lockIn(store, 'b', { times: { silentMs: 5_000 } })
      t.teardown(() => lock.release())
      t.match(await lock.await(never), { outcome: 'taken' })
      // Without reading them: of files that the other node wrote, the server waits for its answer.
      const before = readdirSync(dirname(await store.lockFile(nfsSlot, never))).filter(isCheckpointId)
      t.ok(before.includes(String(stored)))
      const own = (await put(store)).manifest.id
      network('a', 'up')
      const outcome = await pod.answer()
      t.ok(
        outcome.refused === 'lineage-fenced' || before.includes(String(outcome.stored)),
        JSON.stringify(outcome),
      )
      t.match(await pod.ask('put'), { refused: 'lineage-fenced' })
      const after = (await store.list(nfsSlot, never)).manifests.map(({ id }) => id)
      t.same(after.toSorted(), [own, ...before].toSorted())
      for (let tries = 0; tries < 100; tries++) {
        if ((await pod.ask('status')).fencedBy === 'pod-b') return t.pass('it says so')
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
      t.fail('it does not say that it was fenced')
    },
  )
}
