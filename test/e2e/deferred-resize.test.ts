/** More memory that is accepted at once and comes late, or never: the kubelet defers what does not fit beside the node's other pods. */
import t from 'tap'
import { poll } from '../harness/deadline.ts'
import { growing } from './memory.ts'
import { resizeSocket, startResizer, type Resizer } from './resizer.ts'
import { application, deadlineMs, openStage, podOf, sidecar, statusOf, type Stage } from './support.ts'

// The application's 192 MiB and the sidecar's 64 fit alone, but not beside the neighbour's 256.
const options = {
  programs: ['fill.c'],
  config: `memory: { resizeSocket: ${resizeSocket} }`,
  allocatableMiB: 500,
}
const full = growing({ limitMiB: 128, mebibytes: 118, threads: 1, hold: true })
const neighbourOf = (stage: Stage) =>
  stage.runPlain(podOf({ command: ['/bin/sh', '-c', 'exec sleep 600'], resources: { requests: { memory: '256Mi' } } })) // prettier-ignore
const deferred = (resizer: Resizer) =>
  poll('the resize to be deferred', deadlineMs, () => resizer.became[0], () => JSON.stringify(resizer)) // prettier-ignore

t.test('what is deferred for ever is waited for ten seconds, and a checkpoint kept instead', async (t) => {
  const stage = await openStage(t, options)
  await neighbourOf(stage)
  const pod = await stage.run(full)
  const resizer = await startResizer(t, pod)
  t.equal(await deferred(resizer), 'deferred')
  await pod.waitForLog(sidecar, /can have no more: it goes on with a checkpoint kept/, { deadlineMs })
  await pod.waitForLog(application, /^done$/, { deadlineMs })
  t.match((await statusOf(pod)).memory, [{ lastAnswer: { did: 'checkpoint', why: /the new limit was not in force after 10000 ms/ } }]) // prettier-ignore
  t.strictSame(resizer.asked, [{ container: 'app', limitBytes: 192 * 2 ** 20 }])
  t.equal((await stage.manifests()).length, 1)
  await pod.delete()
})

t.test('what is deferred until another pod has gone is in force then, and enough', async (t) => {
  const stage = await openStage(t, options)
  const neighbour = await neighbourOf(stage)
  const pod = await stage.run(full)
  const resizer = await startResizer(t, pod)
  t.equal(await deferred(resizer), 'deferred')
  await neighbour.crash()
  await pod.waitForLog(application, /^done$/, { deadlineMs })
  await pod.waitForLog(sidecar, /the application was given more memory/, { deadlineMs })
  t.match((await statusOf(pod)).memory, [{ watch: 'armed', lastAnswer: { did: 'grow', toBytes: 192 * 2 ** 20 } }]) // prettier-ignore
  t.strictSame(await stage.manifests(), [], 'no checkpoint was needed')
  await pod.delete()
})
