/** What must hold on a cluster: whoever dies goes on at the next step, in a pod of its own, in the same run of the program. */
import { strict as assert } from 'node:assert'
import { until, type Kubectl } from './kubectl.ts'
import { userNamespace } from './workloads.ts'

type Pod = {
  metadata: { name: string; uid: string; labels?: Record<string, string> }
  status: { phase: string }
}
type Seen = { pod: Pod; steps: number[]; born: Set<string> }

/** Steps and births that a pod's log shows; the container's log goes on where the last generation's process does. */
export function readSteps(log: string): { steps: number[]; born: Set<string> } {
  const lines = [...log.matchAll(/^(?:step|finished) (\d+) born (\S+)$/gm)]
  const steps = lines.filter((line) => line[0].startsWith('step')).map((line) => Number(line[1]))
  return { steps, born: new Set(lines.map((line) => line[2] ?? '')) }
}

/** One pod of an app, running and well into its work: `beyond` steps at least. */
export function runningPod(kubectl: Kubectl, app: string, beyond: number, notUid = ''): Promise<Seen> {
  return until(`a pod of ${app} past step ${beyond}`, 180_000, async () => {
    const { items } = await kubectl.json<{ items: Pod[] }>(
      'get',
      'pods',
      `--namespace=${userNamespace}`,
      `--selector=app=${app}`,
    )
    for (const pod of items.filter(
      ({ metadata, status }) => metadata.uid !== notUid && status.phase === 'Running',
    )) {
      const seen = readSteps(
        await kubectl('logs', `--namespace=${userNamespace}`, pod.metadata.name, '--container=count'),
      )
      if ((seen.steps.at(-1) ?? 0) > beyond) return { pod, ...seen }
    }
    return undefined
  })
}

/** Follows the pod's log to its end, since it is gone with the pod. */
export function lastWords(kubectl: Kubectl, name: string): Promise<{ steps: number[]; born: Set<string> }> {
  return kubectl('logs', `--namespace=${userNamespace}`, name, '--container=count', '--follow').then(
    readSteps,
  )
}

/** @throws AssertionError when a step was lost or repeated, or the program began anew */
export function assertWentOn(
  before: { steps: number[]; born: Set<string> },
  after: { steps: number[]; born: Set<string> },
): void {
  const [last, first] = [before.steps.at(-1) ?? Number.NaN, after.steps[0] ?? Number.NaN]
  assert.equal(first, last + 1, `the replacement's first step was ${first}, the dead pod's last was ${last}`)
  for (const [index, step] of after.steps.entries())
    assert.equal(step, first + index, `step ${first + index} is missing`)
  assert.deepEqual(after.born, before.born, 'the replacement is another run of the program')
}
