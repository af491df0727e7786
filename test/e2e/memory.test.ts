/** An application fills its memory, and is not killed for it: it is given more, or ended with a checkpoint and given more next time. */
import t from 'tap'
import { growing, needsOf, sumOf, undisturbedSum } from './memory.ts'
import { startResizer, resizeSocket } from './resizer.ts'
import {
  application,
  deadlineMs,
  exitCodeOf,
  numbersIn,
  openStage,
  podOf,
  sidecar,
  sidecarEntries,
  statusOf,
} from './support.ts'

const config = `memory: { resizeSocket: ${resizeSocket} }`

t.test(
  'an application that fills its memory is given more in place, and ends as if it had always had it',
  async (t) => {
    const stage = await openStage(t, { programs: ['fill.c'], config })
    const pod = await stage.run(growing({ limitMiB: 128, mebibytes: 300, threads: 1 }))
    const resizer = await startResizer(t, pod)
    await pod.waitForLog(application, /^done$/, { deadlineMs })
    t.equal(sumOf(pod), await undisturbedSum(300), 'every byte is what it was')
    await pod.ended
    t.equal(exitCodeOf(pod), 0)
    t.equal(pod.container(application).attempts, 1, 'it was never restarted')
    t.ok(resizer.asked.length >= 2, `asked for ${JSON.stringify(resizer.asked)}`)
    t.ok(resizer.asked.every(({ limitBytes }, index) => limitBytes > (resizer.asked[index - 1]?.limitBytes ?? 128 * 2 ** 20)), 'for more each time') // prettier-ignore
    t.strictSame(await stage.manifests(), [], 'no checkpoint was needed')
  },
)

t.test(
  'an application that fills its memory is ended with a checkpoint, and its replacement goes on with more',
  async (t) => {
    const stage = await openStage(t, { programs: ['fill.c'] })
    const wish = {
      limitMiB: 128,
      mebibytes: 160,
      threads: 1,
      annotations: { 'on-memory-pressure': 'reschedule' },
    }
    const first = await stage.runPlain(stage.admit(growing(wish), new Map()))
    await first.ended
    t.equal(exitCodeOf(first), 75, 'a code that says: try again')
    const [manifest] = await stage.manifests()
    t.match(manifest, { trigger: 'memory' })
    const needs = await needsOf(stage)
    t.ok((needs.get(application) ?? 0) > 128 * 2 ** 20, JSON.stringify([...needs]))

    const second = await stage.runPlain(stage.admit(growing(wish), needs))
    const given = second.container(application).spec.resources?.limits?.memory
    t.equal(Number(given), needs.get(application), 'the webhook gave it what was needed')
    await second.waitForLog(application, /^done$/, { deadlineMs })
    t.equal(sumOf(second), await undisturbedSum(160))
    const [wentOnAt = 0] = numbersIn(second, /^mib (\d+)$/)
    t.ok(wentOnAt > 64, `it went on at ${wentOnAt} MiB`)
    await second.ended
    t.equal(exitCodeOf(second), 0)
  },
)

t.test(
  'where nobody can give more, a checkpoint is kept, it is told so, and the application goes on',
  async (t) => {
    const stage = await openStage(t, { programs: ['fill.c'] })
    const pod = await stage.run(growing({ limitMiB: 128, mebibytes: 118, threads: 1, hold: true }))
    await pod.waitForLog(sidecar, /can have no more: it goes on with a checkpoint kept/, { deadlineMs })
    await pod.waitForLog(application, /^done$/, { deadlineMs })
    t.equal((await stage.manifests()).length, 1)
    const report = await statusOf(pod)
    t.match(report.memory, [{ container: 'app', watch: 'let-go', lastAnswer: { did: 'checkpoint', why: /nobody here resizes pods; nobody here gives/ } }]) // prettier-ignore
    const entry = sidecarEntries(pod).find(({ msg }) => /can have no more/.test(msg))
    t.match(entry, { limitBytes: 128 * 2 ** 20, why: /nobody/ })
    await pod.delete()
  },
)

t.test(
  'what would be started again in the same pod is not ended for more memory, and is told why',
  async (t) => {
    const stage = await openStage(t, { programs: ['fill.c'] })
    const wish = {
      limitMiB: 128,
      mebibytes: 118,
      threads: 1,
      hold: true,
      annotations: { 'on-memory-pressure': 'reschedule' },
      spec: { restartPolicy: 'Always' },
    }
    const pod = await stage.runPlain(stage.admit(growing(wish), new Map()))
    await pod.waitForLog(sidecar, /can have no more: it goes on with a checkpoint kept/, { deadlineMs })
    await pod.waitForLog(application, /^done$/, { deadlineMs })
    t.equal((await stage.manifests()).length, 1)
    t.equal(pod.container(application).attempts, 1)
    t.strictSame(await needsOf(stage), new Map())
    t.match((await statusOf(pod)).memory, [{ lastAnswer: { did: 'checkpoint', why: /^with restartPolicy Always/ } }]) // prettier-ignore
    await pod.delete()
  },
)

t.test('at memory-max growing ends, with a checkpoint', async (t) => {
  const stage = await openStage(t, { programs: ['fill.c'], config })
  const pod = await stage.run(growing({ limitMiB: 128, mebibytes: 170, threads: 1, hold: true, annotations: { 'memory-max': '192Mi' } })) // prettier-ignore
  const resizer = await startResizer(t, pod)
  await pod.waitForLog(sidecar, /can have no more/, { deadlineMs })
  t.strictSame(resizer.asked, [{ container: 'app', limitBytes: 192 * 2 ** 20 }])
  await pod.waitForLog(application, /^done$/, { deadlineMs })
  t.equal((await stage.manifests()).length, 1)
  t.match((await statusOf(pod)).memory, [{ lastAnswer: { why: /all that it may grow to, 201326592 bytes/ } }])
  await pod.delete()
})

t.test('a limit and a memory-max that are no whole number of pages are grown from and to', async (t) => {
  const stage = await openStage(t, { programs: ['fill.c'], config })
  const pod = await stage.run(growing({ limitMiB: 143, limit: '150M', mebibytes: 166, threads: 1, hold: true, annotations: { 'memory-max': '200M' } })) // prettier-ignore
  const resizer = await startResizer(t, pod)
  await pod.waitForLog(sidecar, /can have no more/, { deadlineMs })
  t.strictSame(resizer.asked, [{ container: 'app', limitBytes: Math.floor(200e6 / 65536) * 65536 }])
  await pod.waitForLog(application, /^done$/, { deadlineMs })
  t.match((await statusOf(pod)).memory, [{ lastAnswer: { why: /all that it may grow to, 200000000 bytes/ } }])
  await pod.delete()
})

t.test('page cache up to the limit is no pressure', async (t) => {
  const stage = await openStage(t, {})
  const script =
    'dd if=/dev/zero of=/tmp/file bs=1M count=300 2>/dev/null; cat /tmp/file >/dev/null; echo read; exec sleep 60'
  const pod = await stage.run(podOf({ command: ['/bin/sh', '-c', script], resources: { limits: { memory: '128Mi' } } })) // prettier-ignore
  await pod.waitForLog(application, /^read$/, { deadlineMs })
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  t.strictSame(await stage.manifests(), [])
  t.match((await statusOf(pod)).memory, [{ watch: 'armed', lastAnswer: undefined }])
  await pod.delete()
})

t.test('each protected container of a pod is watched for itself', async (t) => {
  const stage = await openStage(t, { programs: ['fill.c'], config })
  const pod = growing({ limitMiB: 128, mebibytes: 118, threads: 1, hold: true, annotations: { containers: 'app,other' } }) // prettier-ignore
  const [app] = pod.spec.containers
  if (app === undefined) throw new Error('the pod has no container')
  pod.spec.containers.push({ ...app, name: 'other', resources: { limits: { memory: '192Mi' } } })
  const running = await stage.run(pod)
  const resizer = await startResizer(t, running)
  for (const name of ['app', 'other']) await running.waitForLog(name, /^done$/, { deadlineMs })
  t.strictSame(resizer.asked, [{ container: 'app', limitBytes: 192 * 2 ** 20 }])
  t.match((await statusOf(running)).memory, [
    { container: 'app', watch: 'armed', lastAnswer: { did: 'grow' } },
    { container: 'other', watch: 'armed', lastAnswer: undefined },
  ])
  await running.delete()
})
