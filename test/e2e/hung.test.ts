/** A liveness probe that fails: the kubelet runs preStop, which checkpoints the hung process, and starts the container again. */
import t from 'tap'
import { until } from '../until.ts'
import { application, askControl, openStage, podOf, sidecarEntries, statusOf } from './support.ts'

t.test('the hung process is not resumed: the container goes on from the checkpoint before', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const livenessProbe = { exec: { command: ['sh', '-c', 'test ! -e /tmp/hung'] }, periodSeconds: 1, failureThreshold: 1 } // prettier-ignore
  const pod = await stage.run(
    podOf({ command: ['/app/steps', '100000', '50'], livenessProbe, spec: { restartPolicy: 'Always' } }),
  )
  await pod.waitForLog(application, /^step 10 /)
  await askControl(pod, { afterwards: 'resume' })
  await pod.exec(application, ['touch', '/tmp/hung'])
  await until('the container to go on', () =>
    sidecarEntries(pod).some(({ event }) => event === 'restore.completed'),
  )
  const events = sidecarEntries(pod)
  const [good, hung] = events
    .filter(({ event }) => event === 'checkpoint.taken')
    .map(({ checkpoint }) => checkpoint)
  t.match(
    events.find(({ event }) => event === 'application.hung'),
    { checkpoint: hung },
  )
  t.match(await statusOf(pod), {
    containers: [{ restoredFrom: good, rejected: [{ id: hung, detail: /hung/ }] }],
  })
  t.not((await pod.exec(application, ['test', '-e', '/tmp/hung'])).code, 0, 'it is as it was before it hung')
})
