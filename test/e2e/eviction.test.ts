/** Point a: a pod that is evicted through preStop loses no step, repeats none, and its work ends in the same result. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { slowness } from '../harness/deadline.ts'
import type { ContainerSpec } from '../harness/manifest.ts'
import type { Pod } from '../harness/pod.ts'
import { pythonImage } from '../images/debian.ts'
import {
  application,
  deadlineMs,
  exitCodeOf,
  openStage,
  podOf,
  sidecar,
  sidecarEntries,
  type Stage,
} from './support.ts'

/** So many steps that the program still runs when it is evicted, however long that takes: at the end it is told to hurry. */
const steps = String(1_500 * slowness)

t.test(
  'a numpy training program with workers ends in the same weights, to the bit, as undisturbed',
  async (t) => {
    const stage = await openStage(t, { programs: ['train_numpy.py'], base: await pythonImage() })
    const env = [
      { name: 'STEPS', value: '200' },
      { name: 'STEP_MS', value: '40' },
    ]
    await isUndisturbed(t, stage, { command: ['python3', '/app/train_numpy.py'], env }, [/^step 25 /])
  },
)

t.test('a C program ends in the same result as undisturbed', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  await isUndisturbed(t, stage, { command: ['/app/steps', steps, '20'] }, [/^step 50 /])
})

t.test(
  'a program that is evicted at its very first line, and again in the replacement, goes on twice',
  async (t) => {
    const stage = await openStage(t, { programs: ['steps.c'] })
    await isUndisturbed(t, stage, { command: ['/app/steps', steps, '20'] }, [/^step 1 /, /^step /])
  },
)

/** Evicts the pod, and each replacement, once its log matches; the last one runs to the end. */
async function isUndisturbed(
  t: Test,
  stage: Stage,
  container: Omit<Partial<ContainerSpec>, 'name'>,
  evictAt: RegExp[],
): Promise<void> {
  const control = join(stage.folder, 'control')
  mkdirSync(control)
  const podOfIt = () =>
    podOf({
      ...container,
      env: [...(container.env ?? []), { name: 'HURRY', value: '/control/hurry' }],
      volumeMounts: [{ name: 'control', mountPath: '/control' }],
      spec: { volumes: [{ name: 'control', hostPath: { path: control } }] },
    })
  const whole = await stage.runPlain(podOfIt())
  const pods: Pod[] = []
  for (const line of evictAt) {
    const pod = await stage.run(podOfIt())
    pods.push(pod)
    await pod.waitForLog(application, line, { deadlineMs })
    const status = await pod.evict()
    t.equal(status.reason, 'Evicted')
    const taken = sidecarEntries(pod).filter(({ msg }) => msg === 'a checkpoint was taken')
    t.match(taken, [{ trigger: 'prestop', ended: true }], 'one checkpoint, through preStop')
    const [newest] = await stage.manifests()
    t.equal(newest?.id, taken[0]?.checkpoint, 'it is the newest in the store')
  }
  const last = await stage.run(podOfIt())
  pods.push(last)
  // One that ends while CRIU still lets go of it would be killed by CRIU.
  await last.waitForLog(sidecar, /went on from its checkpoint|from its beginning/, { deadlineMs })
  writeFileSync(join(control, 'hurry'), '')
  await last.waitUntilEnded(2 * deadlineMs)
  await whole.waitUntilEnded(2 * deadlineMs)
  t.equal(exitCodeOf(last), exitCodeOf(whole))
  for (const stream of ['stdout', 'stderr'] as const) {
    const expected = linesOf(whole, stream)
    const halves = pods.map((pod) => linesOf(pod, stream))
    t.same(halves.flat(), expected, `every line of ${stream} once and in order, across the pods`)
    if (expected.length > 0) t.ok(halves.every(({ length }) => length > 0), `each pod's log has its part of ${stream}`) // prettier-ignore
  }
  t.match(linesOf(last, 'stdout').at(-1), /^final /)
}

function linesOf(pod: Pod, stream: 'stdout' | 'stderr'): string[] {
  return pod.logLines(application).flatMap((line) => (line.stream === stream ? [line.text] : []))
}
