/** Programs that go on forking, side by side in one pod: each comes back with its numbers, and none is harmed by another's restore. */
import t from 'tap'
import { poll } from '../harness/deadline.ts'
import type { Pod } from '../harness/pod.ts'
import { deadlineMs, numbersIn, openStage, podOf, sidecar, sidecarEntries } from './support.ts'

const names = Array.from({ length: 8 }, (_, index) => `worker-${index}`)
const turns = (pod: Pod, name: string) => numbersIn(pod, /^turn (\d+): /, name)

function podOfForking() {
  const pod = podOf({ annotations: { containers: names.join(',') } })
  const containers = names.map((name) => ({ name, image: 'app', command: ['/app/forking'] }))
  return { ...pod, spec: { ...pod.spec, containers } }
}

t.test('eight containers that fork while they run go on, three times', async (t) => {
  const stage = await openStage(t, { programs: ['forking.c'] })
  let least = 200
  for (const generation of [1, 2, 3]) {
    const pod = await stage.run(podOfForking())
    for (const name of names) {
      await poll(
        `${name} to fork`,
        deadlineMs,
        () => turns(pod, name).some((turn) => turn >= least) || undefined,
      )
      if (generation > 1)
        t.ok((turns(pod, name)[0] ?? 0) > 100, `${name} of generation ${generation} went on`)
      t.notMatch(pod.logs(name), /[1-9]\d* lost/, `${name} has all its children`)
      t.equal(pod.container(name).status.restartCount, 0)
    }
    t.notMatch(pod.logs(sidecar), /File exists|numbers are taken/)
    t.equal(sidecarEntries(pod).filter(({ event }) => event === 'restore.failed').length, 0)
    least += 200
    await pod.evict()
  }
})
