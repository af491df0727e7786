/** Disks that are full, and stores that are gone or read-only: the application goes on, and somebody is told. */
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { must } from '../../scripts/command.ts'
import type { Pod } from '../harness/pod.ts'
import { requireThawed, staged } from './kills.ts'
import { sidecarEntries, statusOf } from './support.ts'
import {
  checkpoint,
  goesOn,
  mustCheckpoint,
  openSurvivorStage,
  rejectedBy,
  restoredFrom,
  runSurvivor,
  stepsOf,
  verifiedManifests,
  type SurvivorStage,
} from './survivor.ts'

/** The store on a disk of its own, so that it can be small, or made read-only. */
async function storeOnDisk(
  t: Parameters<typeof openSurvivorStage>[0],
  mebibytes: number,
): Promise<SurvivorStage> {
  const stage = await openSurvivorStage(t)
  mkdirSync(stage.storeFolder)
  await must(['mount', '-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', stage.storeFolder])
  t.teardown(() => must(['umount', '--lazy', stage.storeFolder]))
  return stage
}

async function requireFailed(
  t: Parameters<typeof openSurvivorStage>[0],
  pod: Pod,
  reason: RegExp,
  detail: RegExp,
): Promise<void> {
  const outcome = await checkpoint(pod)
  t.match(outcome, { outcome: 'failed', reason, detail })
  await requireThawed(pod)
  await goesOn(pod)
  t.match((await statusOf(pod)).containers[0], {
    state: { at: 'running' },
    lastCheckpoint: { outcome: 'failed', detail },
  })
  t.ok(sidecarEntries(pod).some(({ msg }) => msg === 'no checkpoint was taken: the application goes on'))
}

t.test('a full store ends no application and loses no checkpoint', async (t) => {
  const stage = await storeOnDisk(t, 56)
  const pod = await runSurvivor(stage, { mebibytes: 32 })
  const first = await mustCheckpoint(pod)
  await requireFailed(t, pod, /store-failed/, /ENOSPC|no space/)
  t.same(
    (await verifiedManifests(stage)).map(({ id }) => id),
    [first],
  )
  const left = readdirSync(stage.storeFolder, { recursive: true, encoding: 'utf8' })
  t.same(
    left.filter((name) => name.endsWith('.img') && !name.includes(`/${first}/`)),
    [],
    'of the one that did not fit nothing is left',
  )
  await pod.evict()
  const next = await runSurvivor(stage, { mebibytes: 32 })
  t.equal(await restoredFrom(next, first), first)
})

t.test('a read-only store ends no application, and gives what it holds', async (t) => {
  const stage = await storeOnDisk(t, 256)
  const pod = await runSurvivor(stage)
  await mustCheckpoint(pod)
  await pod.delete()
  const kept = (await stage.manifests())[0]?.id
  t.ok(kept)
  await must(['mount', '-o', 'remount,bind,ro', stage.storeFolder])
  const next = await runSurvivor(stage)
  t.equal(await restoredFrom(next, kept), kept)
  t.ok((stepsOf(next)[0]?.step ?? 0) > 1)
  await requireFailed(t, next, /store-failed/, /EROFS|read-only/)
})

t.test('a store that cannot be read at all means a cold start, and it is said', async (t) => {
  const stage = await openSurvivorStage(t)
  const pod = await runSurvivor(stage)
  await mustCheckpoint(pod)
  await pod.delete()
  // Files where the store has its folders.
  for (const name of readdirSync(stage.storeFolder)) {
    await must(['rm', '-rf', join(stage.storeFolder, name)])
    await must(['touch', join(stage.storeFolder, name)])
  }
  const next = await runSurvivor(stage)
  t.equal(stepsOf(next)[0]?.step, 1)
  t.match(await rejectedBy(next), [{ id: '*', reason: 'store-failed' }])
  await requireFailed(t, next, /store-failed/, /./)
})

t.test(
  'a staging volume that is too small for the memory is seen before anything stands still',
  async (t) => {
    const stage = await openSurvivorStage(t)
    const pod = await onSmallVolume(stage, 24, ['/app/survivor', '32', '20', '/control'])
    await requireFailed(t, pod, /dump-failed/, /has \d+ bytes free/)
    t.same(stagedDumps(pod), [])
  },
)

t.test(
  'a staging volume that is too small for the changed files is cleared, and the application goes on',
  async (t) => {
    const stage = await openSurvivorStage(t)
    // The memory fits, the files that the application has written beside it do not.
    const script =
      'dd if=/dev/urandom of=/written bs=1M count=64 2>/dev/null; exec /app/survivor 24 20 /control'
    const pod = await onSmallVolume(stage, 64, ['sh', '-c', script])
    await requireFailed(t, pod, /archive-failed/, /the changed files take \d+ bytes, and .* has room for \d+/)
    t.same(stagedDumps(pod), [])
    await requireFailed(t, pod, /archive-failed/, /the changed files take \d+ bytes, and .* has room for \d+/)
    t.equal((await stage.manifests()).length, 0)
  },
)

/** The volume of staging on a disk of that size. */
async function onSmallVolume(stage: SurvivorStage, mebibytes: number, command: string[]): Promise<Pod> {
  const admitted = stage.admit(stage.survivor({ command }))
  const volume = admitted.spec.volumes?.find(({ name }) => name === 'reprieve-staging')
  if (volume?.emptyDir === undefined) throw new Error('the injected volume is no emptyDir any more')
  volume.emptyDir = { medium: 'Memory', sizeLimit: `${mebibytes}Mi` }
  const pod = await stage.runPlain(admitted)
  await goesOn(pod)
  return pod
}

const stagedDumps = (pod: Pod) => staged(pod).filter((name) => /\.(dump|work)/.test(name))
