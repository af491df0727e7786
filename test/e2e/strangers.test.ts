/** A process of the pod that is no launcher has no say: it ends no application, finishes no lineage, and stands in no one's way. */
import t from 'tap'
import type { Pod } from '../harness/pod.ts'
import { application, deadlineMs, numbersIn, openStage, podOf, sidecar, statusOf, type Stage } from './support.ts' // prettier-ignore

const programs = ['steps.c', 'stranger.c']

async function begun(stage: Stage): Promise<Pod> {
  const pod = await stage.run(podOf({ command: ['/app/steps', '100000', '20'] }))
  await pod.waitForLog(application, /^step 10 /, { deadlineMs })
  return pod
}

/** What a process of the application, user 1000, says to the sidecar; and what it hears. */
async function say(pod: Pod, line: string): Promise<string> {
  return (await pod.exec(application, ['/app/stranger', 'say', line], { deadlineMs })).stdout
}

const stateOf = async (pod: Pod) => (await statusOf(pod)).containers[0]?.state

t.test(
  'no process of the pod can end the application or finish its work in the launcher’s name',
  async (t) => {
    const stage = await openStage(t, { programs })
    const pod = await begun(stage)
    const state = await stateOf(pod)
    const line = `run container=${application} pid=${String(state?.launcherPid)} launcher=unknown`
    for (const lie of [
      'prestop container=app budget-ms=20000',
      `${line} state=gone code=0`,
      `${line} state=waiting`,
      'fetch url=https%3A%2F%2F169.254.169.254%2F',
    ])
      t.equal(await say(pod, lie), '', lie)
    // The real launcher, which the application can run as well.
    const asHook = 'setuidgid 1000 /reprieve/bin/launcher prestop --container=app --budget-ms=20000; true'
    await pod.exec(application, ['sh', '-c', asHook], { deadlineMs })
    t.match(await stateOf(pod), { at: 'running', root: state?.root })
    t.strictSame(await stage.manifests(), [], 'nobody took a checkpoint')
    const last = numbersIn(pod, /^step (\d+) /).at(-1) ?? 0
    await pod.waitForLog(application, new RegExp(`^step ${last + 10} `), { deadlineMs })
    await pod.waitForLog(sidecar, /"launcher\.strangers"/, { deadlineMs })
  },
)

t.test('no number of connections stands in the way of the preStop', async (t) => {
  const stage = await openStage(t, { programs })
  const pod = await begun(stage)
  const idle = [
    'sh',
    '-c',
    '/app/stranger idle 300 > /tmp/said 2>&1 & until grep connected /tmp/said; do sleep 0.1; done',
  ]
  await pod.exec(application, idle, { deadlineMs })
  await pod.evict()
  t.match(await stage.manifests(), [{ trigger: 'prestop' }])
})
