/** The same work goes on; other work, under the same name, begins from its beginning. */
import t from 'tap'
import type { Pod } from '../harness/pod.ts'
import type { PodManifest } from '../harness/manifest.ts'
import { application, askControl, deadlineMs, numbersIn, openStage, podOf, sidecarEntries, statusOf, type PodOptions } from './support.ts' // prettier-ignore
import { restoredFrom } from './survivor.ts'

const step = /^step (\d+) /
const counting = (more: PodOptions = {}) => podOf({ command: ['/app/steps', '100000', '30'], ...more })
const lineage = 'tests/Job/train'

/** As the Job controller makes it: the Job of this UID owns it. */
function ofJob(uid: string): PodManifest {
  const pod = counting()
  delete pod.metadata.annotations?.['reprieve.dev/key']
  const owner = { apiVersion: 'batch/v1', kind: 'Job', name: 'train', uid, controller: true }
  return { ...pod, metadata: { ...pod.metadata, ownerReferences: [owner] } } as PodManifest
}

async function runs(pod: Pod, first: number): Promise<void> {
  await pod.waitForLog(application, new RegExp(`^step ${first} `), { deadlineMs })
}

const rate = (value: string, annotations = {}) =>
  counting({ env: [{ name: 'LEARNING_RATE', value }], annotations: { keep: '1', ...annotations } })

const hardened = (annotations = {}) =>
  counting({ annotations, securityContext: { runAsUser: 1000, capabilities: { drop: ['ALL'] } } })

const rejectedIn = async (pod: Pod) => (await statusOf(pod)).containers[0]?.rejected ?? []

t.test('a Job that is deleted and created again does not resume the deleted one', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const first = await stage.run(ofJob('uid-1'))
  await runs(first, 10)
  await first.evict()
  const replacement = await stage.run(ofJob('uid-1'))
  await replacement.waitForLog(application, step, { deadlineMs })
  t.equal(numbersIn(replacement, step)[0], (numbersIn(first, step).at(-1) ?? 0) + 1, 'its own pod goes on')
  await replacement.evict()
  const again = await stage.run(ofJob('uid-2'))
  await runs(again, 1)
  t.match(await rejectedIn(again), [{ reason: 'unfit-incarnation', detail: /a new object of the same name/ }])
  t.equal((await stage.manifests({ lineage })).length, 2, 'nothing is deleted for it')
  await again.evict()
})

t.test('another variable begins afresh, says which, and an id goes back', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const first = await stage.run(rate('0.1'))
  await runs(first, 10)
  await first.evict()
  const [old] = await stage.manifests()
  let larger = first
  for (const memory of ['512Mi', '768Mi']) {
    const more = rate('0.1')
    for (const container of more.spec.containers) container.resources = { limits: { memory } }
    const before = larger
    larger = await stage.run(more)
    await larger.waitForLog(application, step, { deadlineMs })
    t.equal(numbersIn(larger, step)[0], (numbersIn(before, step).at(-1) ?? 0) + 1, `${memory} goes on`)
    await larger.evict()
  }
  const [newest] = await stage.manifests()
  const { id = '', generation, parent } = newest ?? {}
  t.equal(generation?.id, old?.generation?.id, 'it continues the generation')
  t.ok(parent !== undefined && parent !== old?.id, 'and names the checkpoint that it came from')

  const changed = await stage.run(rate('0.2'))
  await runs(changed, 1)
  t.match(await rejectedIn(changed), [
    { id, reason: 'unfit-fingerprint', detail: /^env LEARNING_RATE changed/ },
  ])
  const told = sidecarEntries(changed).find(({ event }) => event === 'lineage.other_work')
  t.match(told, { changed: 'env LEARNING_RATE', goBack: `reprieve.dev/restore: ${id}` })
  const slot = { lineage: 'tests/key/work', container: application }
  t.match((await stage.store.readRecord(slot, AbortSignal.timeout(deadlineMs))).left, {
    changed: 'env LEARNING_RATE',
    newest: id,
  })
  await askControl(changed, { afterwards: 'resume' })
  const [begun, kept] = await stage.manifests()
  t.equal(begun?.generation?.began, 'other-work')
  t.equal(kept?.id, id, 'the last checkpoint of the other work stays')
  await changed.crash()

  const back = await stage.run(rate('0.2', { restore: id }))
  await back.waitForLog(application, step, { deadlineMs })
  t.equal(numbersIn(back, step)[0], (numbersIn(larger, step).at(-1) ?? 0) + 1)
  await back.evict()
})

t.test('an application is not restored into a pod whose rights were taken away', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const first = await stage.run(counting())
  await runs(first, 10)
  await first.evict()
  const [{ id = '' } = {}] = await stage.manifests()
  for (const annotations of [{}, { restore: id }]) {
    const pod = await stage.run(hardened(annotations))
    await runs(pod, 1)
    t.match(await rejectedIn(pod), [{ reason: 'unfit-fingerprint', detail: /securityContext\.capabilities/ }])
    await pod.crash()
  }
})

t.test('each new pod of a rolling update starts at once, and the old one keeps its checkpoint', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  let old = await stage.run(rate('1'))
  await runs(old, 10)
  for (const value of ['2', '3']) {
    const young = await stage.run(rate(value))
    await runs(young, 1)
    t.match(await rejectedIn(young), [
      { reason: 'unfit-fingerprint', detail: /does other work: env LEARNING_RATE/ },
    ])
    await old.evict()
    const [last] = await stage.manifests()
    await askControl(young, { afterwards: 'resume' })
    await askControl(young, { afterwards: 'resume' })
    t.equal((await stage.manifests()).at(-1)?.id, last?.id, 'the last checkpoint of the old pod stays')
    old = young
  }
  await old.evict()
})

t.test('a start that another pod stood in the way of deletes nothing of the work before', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const first = await stage.run(counting({ annotations: { keep: '1' } }))
  await runs(first, 10)
  await askControl(first, { afterwards: 'resume' })
  const [good] = await stage.manifests()
  const second = await stage.run(counting({ annotations: { keep: '1' } }))
  await runs(second, 1)
  await first.crash()
  for (let n = 0; n < 3; n++) await askControl(second, { afterwards: 'resume' })
  const [own, ...others] = await stage.manifests()
  t.equal(own?.generation?.began, 'surroundings')
  t.equal(others.at(-1)?.id, good?.id, 'the work before is there')
  await second.crash()
  const third = await stage.run(counting({ annotations: { keep: '1' } }))
  await third.waitForLog(application, step, { deadlineMs })
  t.equal(await restoredFrom(third, own?.id), own?.id, 'the newest generation goes on')
  t.match((await rejectedIn(third)).at(-1), { id: good?.id, reason: 'left-behind' })
  await third.evict()
})
