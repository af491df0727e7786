/** The user's postStart runs beside the launcher, in the same container, and is nobody's to end. */
import t from 'tap'
import { poll } from '../harness/deadline.ts'
import { application, deadlineMs, numbersIn, openStage, podOf } from './support.ts'

t.test(
  'a postStart hook that takes its time runs to its end, in the pod and in its replacement',
  async (t) => {
    const stage = await openStage(t, { programs: ['steps.c'] })
    const postStart = { exec: { command: ['/bin/sh', '-c', 'sleep 3; echo done > /hook-done'] } }
    const options = { command: ['/app/steps', '100000', '30'], lifecycle: { postStart } }
    const steps = /^step (\d+) /
    const pods = []
    for (let generation = 0; generation < 2; generation++) {
      const pod = await stage.run(podOf(options))
      pods.push(pod)
      await pod.waitForLog(application, steps, { deadlineMs })
      const isDone = async () =>
        (await pod.exec(application, ['cat', '/hook-done'], { deadlineMs })).stdout === 'done\n' || undefined
      await poll('the hook to end', deadlineMs, isDone, () => pod.describe())
      t.equal(pod.container(application).attempts, 1)
      if (generation === 0) await pod.evict()
    }
    const [before, after] = pods.map((pod) => numbersIn(pod, steps))
    t.equal(after?.[0], (before?.at(-1) ?? 0) + 1)
  },
)
