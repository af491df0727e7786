/**
 * What a part of a pod that was taken over sees of others: root in the application's container neither the images of another one nor the store,
 * and the sidecar of the store only the folder of its namespace.
 */
import { mkdirSync, readdirSync, renameSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import type { Pod } from '../harness/pod.ts'
import {
  application,
  deadlineMs,
  numbersIn,
  openStage,
  podOf,
  restorer,
  sidecar,
  type Stage,
} from './support.ts'

const command = ['/app/steps', '100000', '20']

async function begun(stage: Stage, pod = podOf({ command })): Promise<Pod> {
  const running = await stage.run(pod)
  await running.waitForLog(application, /^step \d+ /, { deadlineMs })
  return running
}

const inSidecar = (pod: Pod, script: string) => pod.exec(sidecar, ['sh', '-c', script], { deadlineMs })
const firstStep = (pod: Pod) => numbersIn(pod, /^step (\d+) /)[0] ?? 0

t.test('root in the application’s container reads nothing in staging and nothing in the store', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const pod = await begun(stage)
  // As a checkpoint of a second container would lie there.
  const left = await inSidecar(
    pod,
    'mkdir -p /reprieve/staging/other/id.dump && echo memory > /reprieve/staging/other/id.dump/pages-1.img',
  )
  t.equal(left.code, 0, left.stderr)
  const look =
    'id -u; for root in "" /proc/[0-9]*/root; do find $root/reprieve/staging $root/var/reprieve -type f; done 2>/dev/null; true'
  const { stdout } = await pod.exec(application, ['sh', '-c', look], { deadlineMs })
  t.equal(stdout, '0\n')
  t.match(
    (await inSidecar(pod, 'find /reprieve/staging -type f')).stdout,
    /pages-1\.img/,
    'the sidecar has it',
  )
  await pod.evict()
  t.match(await stage.manifests(), [{ trigger: 'prestop' }])
})

t.test('a sidecar that was taken over sees nothing of another namespace in the store', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const other = podOf({ command })
  other.metadata.namespace = 'neighbours'
  await (await begun(stage, other)).evict()
  t.match(readdirSync(join(dirname(stage.storeFolder), 'neighbours')), ['neighbours+key+work'])
  const pod = await begun(stage)
  const { stdout } = await inSidecar(pod, 'find /var/reprieve -name "*key+work*"')
  t.equal(stdout, '/var/reprieve/store/tests+key+work\n')
})

t.test('a store of an earlier release is read on, and moves into the folder of its namespace', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'], config: 'wholeStores: [default]' })
  const first = await begun(stage)
  await first.waitForLog(application, /^step 20 /, { deadlineMs })
  await first.evict()
  // As that release has it: all lineages beside each other.
  const lineage = 'tests+key+work'
  renameSync(join(stage.storeFolder, lineage), join(dirname(stage.storeFolder), lineage))
  const second = await begun(stage)
  t.ok(firstStep(second) > 20, `it went on at step ${firstStep(second)}`)
  t.same(readdirSync(dirname(stage.storeFolder)), ['tests'], 'nothing is left beside the folders')
  t.ok(readdirSync(stage.storeFolder).includes(lineage))
  await second.evict()
  t.equal((await stage.manifests()).length, 2)

  // When the key is gone, pods see their namespace only, and go on all the same.
  const later = await openStage(t, { programs: ['steps.c'] })
  mkdirSync(dirname(later.storeFolder), { recursive: true })
  renameSync(stage.storeFolder, later.storeFolder)
  const third = await begun(later)
  t.ok(firstStep(third) > firstStep(second), `it went on at step ${firstStep(third)}`)
  t.equal(third.logs(restorer).includes('checkpoint was fetched'), true)
})
