/** Two pods of one lineage: a replacement that starts too early waits its turn, a second replica is kept out. */
import t from 'tap'
import {
  application,
  deadlineMs,
  numbersIn,
  openStage,
  podOf,
  sidecar,
  sidecarEntries,
  statusOf,
} from './support.ts'
import { waitForState } from './survivor.ts'

const step = /^step (\d+) /
const counting = { command: ['/app/steps', '100000', '30'] }

t.test(
  'a replacement that starts while the old pod is being ended waits, and goes on from its last step',
  async (t) => {
    const stage = await openStage(t, { programs: ['steps.c'] })
    const old = await stage.run(podOf(counting))
    await old.waitForLog(application, /^step 10 /, { deadlineMs })
    // As a ReplicaSet does, and a Job by default: the new pod is made the moment the old one is told to end.
    const evicted = old.evict()
    const replacement = await stage.run(podOf(counting))
    await evicted
    await replacement.waitForLog(application, step, { deadlineMs })
    t.equal(numbersIn(replacement, step)[0], (numbersIn(old, step).at(-1) ?? 0) + 1)
  },
)

t.test('a second replica of a lineage runs by itself, writes nothing, and says why', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const first = await stage.run(podOf(counting))
  await first.waitForLog(application, step, { deadlineMs })
  const second = await stage.run(podOf(counting))
  await second.waitForLog(application, /^step 1 /, { deadlineMs })
  const [container] = (await statusOf(second)).containers
  t.match(container?.rejected, [{ reason: 'lineage-busy', detail: /is alive/ }])
  await second.evict()
  const refused = sidecarEntries(second).find(({ msg }) => msg.startsWith('no checkpoint was taken'))
  t.match(refused?.err, { message: /of the same lineage is alive/ })
  t.same(await stage.manifests(), [])
  await first.evict()
  t.equal((await stage.manifests()).length, 1, 'the first one is protected as before')
})

t.test('a pod that died without a word leaves its lineage free at once', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const first = await stage.run(podOf(counting))
  await first.waitForLog(application, step, { deadlineMs })
  await first.crash()
  const second = await stage.run(podOf(counting))
  await second.waitForLog(application, step, { deadlineMs })
  t.same((await statusOf(second)).containers[0]?.rejected, [])
})

t.test('a sidecar that was killed takes its lineage again: another pod does not get it', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const first = await stage.run(podOf(counting))
  await first.waitForLog(application, step, { deadlineMs })
  await first.killContainer(sidecar, 'SIGKILL')
  await first.waitForLog(sidecar, /the sidecar is ready/, { nth: 2, deadlineMs })
  // Only from then on is the lineage taken again.
  await waitForState(first, 'running')
  const second = await stage.run(podOf(counting))
  await second.waitForLog(application, /^step 1 /, { deadlineMs })
  t.match((await statusOf(second)).containers[0]?.rejected, [{ reason: 'lineage-busy' }])
  await first.evict()
  t.equal((await stage.manifests()).length, 1)
})
