/** Files in memory belong to the application's memory: also those that a restore brings back, which must not be the sidecar's. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { cgroupFolder } from '../harness/cgroup.ts'
import type { Pod } from '../harness/pod.ts'
import { application, numbersIn, openStage, podOf, sidecar } from './support.ts'

/** Emulated processors take their time. */
const deadlineMs = 300_000
const mebibyte = 2 ** 20
const step = /^step (\d+) /

const script = `head -c ${300 * mebibyte} /dev/urandom >/scratch/data
n=0
while :; do n=$((n + 1)); echo "step $n $(tail -c 16 /scratch/data | md5sum)"; sleep 0.2; done`

const working = () =>
  podOf({
    command: ['sh', '-c', script],
    resources: { limits: { memory: '600Mi' } },
    volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }],
    spec: {
      terminationGracePeriodSeconds: 200,
      volumes: [{ name: 'scratch', emptyDir: { medium: 'Memory' } }],
    },
  })

t.test('a restore brings a volume in memory back that is larger than the limit of the sidecar', async (t) => {
  const stage = await openStage(t, {
    config: 'sidecar: { resources: { limits: { memory: 128Mi } } }\ncheckpointBudget: 150s',
  })
  const before = await stage.run(working())
  await before.waitForLog(application, /^step 3 /, { deadlineMs })
  await before.evict()
  const [manifest] = await stage.manifests()
  t.match(manifest, { trigger: 'prestop' }, 'a checkpoint was taken')

  const after = await stage.run(working())
  await after.waitForLog(application, step, { deadlineMs })
  t.equal(numbersIn(after, step)[0], (numbersIn(before, step).at(-1) ?? 0) + 1, 'it went on')
  const saidOf = (pod: Pod) =>
    pod
      .logLines(application)
      .find(({ text }) => step.test(text))
      ?.text.split(' ')[2]
  t.equal(saidOf(after), saidOf(before), 'with what was in the volume')
  const of = (name: string, file: string) =>
    readFileSync(`${cgroupFolder(after.container(name).cgroupPath, 'memory')}/${file}`, 'utf8')
  t.match(of(sidecar, 'memory.events'), /^oom_kill 0$/m)
  t.equal(after.container(sidecar).attempts, 1)
  const shmem = (name: string) => Number(/^shmem (\d+)$/m.exec(of(name, 'memory.stat'))?.[1])
  t.ok(shmem(application) >= 300 * mebibyte, `${shmem(application)} bytes are the application's`)
  t.ok(shmem(sidecar) < 10 * mebibyte, `${shmem(sidecar)} bytes are the sidecar's`)
  await after.delete({ gracePeriodSeconds: 0 })
})
