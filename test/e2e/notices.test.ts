/** The cloud takes the machine: a checkpoint is complete before its deadline, and the replacement goes on at the very next step. */
import t, { type Test } from 'tap'
import { readStatNow } from '../../src/process-stat.ts'
import { poll, sleep } from '../harness/deadline.ts'
import type { Pod } from '../harness/pod.ts'
import { AwsServer, GcpServer } from '../sidecar/triggers/clouds/metadata-server.ts'
import { putNotice, spotNotices } from './announced.ts'
import { openCloud } from './cloud.ts'
import { continueIfThere, criuCommand, goesOn, lastStep, openSurvivorStage, runSurvivor, sidecarNode, sidecarProcesses, stepsOf, stopIfThere } from './survivor.ts' // prettier-ignore
import { application, askControl, deadlineMs, metricsOf, numbersIn, openStage, podOf, sidecar, sidecarEntries, statusOf, type Stage } from './support.ts' // prettier-ignore

const step = /^step (\d+) /
const steps = { command: ['/app/steps', '100000', '20'] }
const takenLine = /"a checkpoint was taken"/

async function runToTenthStep(stage: Stage, options: Parameters<typeof podOf>[0] = steps): Promise<Pod> {
  const pod = await stage.run(podOf(options))
  await pod.waitForLog(application, step, { nth: 10, deadlineMs })
  return pod
}

/** The machine is gone; the replacement's first step follows the last that was ever made. */
async function requireNoStepLost(t: Test, stage: Stage, before: Pod): Promise<void> {
  await before.crash()
  const last = numbersIn(before, step).at(-1) ?? 0
  const after = await stage.run(podOf(steps))
  const line = await after.waitForLog(application, step, { deadlineMs })
  t.equal(Number(step.exec(line.text)?.[1]), last + 1, 'it goes on at the very next step')
}

t.test('no step is lost and none made twice', { jobs: spotNotices.length + 1 }, async (t) => {
  t.test('with a sidecar that is killed while it holds', { buffered: true }, killedWhileItHolds)
  for (const { what, leadMs, open } of spotNotices)
    t.test(`${what} ${leadMs / 1_000} s ahead`, { buffered: true }, async (t) => {
      const { config, announce } = await open(t)
      const stage = await openStage(t, { programs: ['steps.c'], config })
      const pod = await runToTenthStep(stage)
      await pod.waitForLog(sidecar, /"a cloud answers/, { deadlineMs })
      const deadline = Date.now() + leadMs
      announce(new Date(deadline))
      await pod.waitForLog(sidecar, takenLine, { deadlineMs })
      t.ok(Date.now() < deadline, 'complete before the deadline')
      t.match(sidecarEntries(pod).find(({ msg }) => msg === 'a checkpoint was taken'), { trigger: 'spot', ended: true }) // prettier-ignore
      t.match((await statusOf(pod)).containers, [{ state: { at: 'kept-open' } }])
      await requireNoStepLost(t, stage, pod)
    })
})

/** What a sidecar held goes on when it is killed; its next life hears what still stands, and holds it again. */
async function killedWhileItHolds(t: Test): Promise<void> {
  const server = new AwsServer()
  const stage = await openSurvivorStage(t, { config: await openCloud(t, 'aws', server) })
  const pod = await runSurvivor(stage, { mebibytes: 16, spec: { restartPolicy: 'OnFailure' } })
  await pod.waitForLog(sidecar, /"a cloud answers/, { deadlineMs })
  const by = new Date(Date.now() + 120_000).toISOString()
  server.announced.set('spot/instance-action', JSON.stringify({ action: 'terminate', time: by }))
  await pod.waitForLog(sidecar, takenLine, { deadlineMs })
  t.match((await statusOf(pod)).containers, [{ state: { at: 'kept-open' } }])
  process.kill(await sidecarNode(pod), 'SIGKILL')
  await pod.waitForLog(sidecar, /went on from its checkpoint/, { deadlineMs })
  await pod.waitForLog(sidecar, takenLine, { nth: 2, deadlineMs })
  t.match((await statusOf(pod)).containers, [{ state: { at: 'kept-open' } }])
  await pod.crash()
  const next = await runSurvivor(stage, { mebibytes: 16 })
  const seen = [...stepsOf(pod), ...stepsOf(next)].map(({ step }) => step)
  t.same(seen, seen.map((_, index) => index + 1), 'every step once and in order, across both ends') // prettier-ignore
}

t.test('twenty notices of one death from four sources are one checkpoint', async (t) => {
  const server = new AwsServer()
  const stage = await openStage(t, { programs: ['steps.c'], config: await openCloud(t, 'aws', server) })
  const by = new Date(Date.now() + 120_000).toISOString()
  server.announced.set('autoscaling/target-lifecycle-state', 'Terminated')
  server.announced.set('spot/instance-action', JSON.stringify({ action: 'terminate', time: by }))
  server.announced.set('events/recommendations/rebalance', JSON.stringify({ noticeTime: by }))
  const pod = await stage.run(podOf(steps))
  await pod.waitForLog(sidecar, /"the sidecar is ready"/, { deadlineMs })
  for (let count = 0; count < 17; count++) putNotice(pod, `${count}.json`, { kind: 'machine-terminated', by })
  await pod.waitForLog(sidecar, takenLine, { deadlineMs })
  await poll('all sources to have had their say', deadlineMs, async () => {
    const { sources } = await statusOf(pod)
    const seen = sources.filter(({ noticesSeen }) => noticesSeen > 0)
    const notices = seen.reduce((sum, { noticesSeen }) => sum + noticesSeen, 0)
    // Each of the urgent ones twice: what is repeated changes nothing.
    const again = seen.filter(
      ({ source, answers }) => /instance-action|rebalance|folder/.test(source) && answers > 1,
    )
    return seen.length === 4 && notices === 20 && again.length === 3 ? true : undefined
  })
  await sleep(1_000)
  t.equal(sidecarEntries(pod).filter(({ msg }) => msg === 'a checkpoint was taken').length, 1)
  t.equal((await stage.manifests()).length, 1)
  // A second request would have failed, or been passed over, since the application is gone by then: it would be counted all the same.
  const counted = await metricsOf(pod, 'reprieve_checkpoints_total')
  const asked = counted.filter((line) => !line.endsWith(' 0'))
  t.match(asked, [
    /^reprieve_checkpoints_total\{container="app",trigger="(spot|manual)",outcome="taken"\} 1$/,
  ])
  t.equal(asked.length, 1)
  const valueOf = async (name: string) => (await metricsOf(pod, `${name}{`)).map((line) => Number(line.split(' ')[1]))[0] // prettier-ignore
  const used = await poll('the answer to end', deadlineMs, () => valueOf('reprieve_notice_lead_used_seconds'), () => pod.describe()) // prettier-ignore
  const lead = (await valueOf('reprieve_notice_lead_seconds')) ?? 0
  t.ok(used > 0 && used < lead && lead <= 120, `${used} s used of ${lead}`)
})

/** A checkpoint by hand whose CRIU is stopped before it has done its work. It is asked for again where that was over too soon to be seen. */
async function heldCheckpoint(pod: Pod): Promise<{ answer: Promise<unknown>; goOn: () => void }> {
  for (let request = 1; request <= 20; request++) {
    const answered = new AbortController()
    const answer = askControl(pod, {}).finally(() => answered.abort())
    answer.catch(() => undefined)
    for (; !answered.signal.aborted; await sleep(5)) {
      const [criu] = sidecarProcesses(pod, `${criuCommand} dump`)
      if (criu === undefined) continue
      stopIfThere(criu)
      const isHeld =
        (await isStopped(criu)) && (await statusOf(pod)).containers[0]?.state.at === 'checkpointing'
      if (isHeld) return { answer, goOn: () => continueIfThere(criu) }
      continueIfThere(criu)
    }
  }
  throw new Error(`no checkpoint could be held\n${pod.describe()}`)
}

/** Once the signal has arrived; or it has ended before. */
function isStopped(pid: number): Promise<boolean> {
  return poll('a process to be stopped', deadlineMs, () => {
    const state = readStatNow(pid)?.state
    return state === 'T' ? true : state === undefined || state === 'Z' ? false : undefined
  })
}

t.test(
  'a notice that is withdrawn before the dump is none; withdrawn after it, the container goes on from there',
  async (t) => {
    const server = new GcpServer()
    const stage = await openSurvivorStage(t, { config: await openCloud(t, 'gcp', server) })
    const pod = await runSurvivor(stage, { mebibytes: 64, spec: { restartPolicy: 'OnFailure' } })
    await pod.waitForLog(sidecar, /"a cloud answers/, { deadlineMs })
    // While another checkpoint has its turn.
    const other = await heldCheckpoint(pod)
    server.change('preempted', 'TRUE')
    await pod.waitForLog(sidecar, /"a notice is answered when the application runs"/, { deadlineMs })
    server.change('preempted', 'FALSE')
    await pod.waitForLog(sidecar, /"a notice was withdrawn"/, { deadlineMs })
    other.goOn()
    t.match(await other.answer, { app: { outcome: 'taken' } })
    // Longer than it takes to look again whether the turn has come.
    await sleep(1_500)
    t.same([...new Set((await stage.manifests()).map(({ trigger }) => trigger))], ['manual'])

    server.change('preempted', 'TRUE')
    await pod.waitForLog(sidecar, /"trigger":"spot".*"a checkpoint was taken"/, { deadlineMs })
    const last = lastStep(pod)
    server.change('preempted', 'FALSE')
    await pod.waitForLog(sidecar, /the announced end did not come: the container ends/, { deadlineMs })
    await pod.waitForLog(sidecar, /went on from its checkpoint/, { deadlineMs })
    await goesOn(pod)
    const seen = stepsOf(pod).map(({ step }) => step)
    t.same(seen, seen.map((_, index) => index + 1), `every step once and in order, across its end after step ${last}`) // prettier-ignore
  },
)
