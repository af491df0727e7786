/** Too little time for what is to be saved, since the store has become slow: what was saved before is whole, and is what the replacement uses. */
import t, { type Test } from 'tap'
import { safetyFactor } from '../../sidecar/triggers/notices/time-plan.ts'
import { poll, sleep, slowness } from '../harness/deadline.ts'
import type { Pod } from '../harness/pod.ts'
import { putNotice, spotNotices } from './announced.ts'
import { storeOnSlowDisk } from './slow-disk.ts'
import { application, askControl, deadlineMs, sidecar, sidecarEntries, statusOf } from './support.ts'
import { goesOn, killIfThere, lastStep, mustCheckpoint, openSurvivorStage, restoredFrom, runSurvivor, stepsOf, usualStepMs, verifiedManifests, waitForWord } from './survivor.ts' // prettier-ignore

const mebibyte = 2 ** 20
const mebibytes = 64
/** Longer than a checkpoint and the answer to a notice take, also on a busy machine: no other is under way when the notice is answered. */
const intervalMs = 20_000 * slowness
/** What GCP gives in any case; the others are heard of as late as that. */
const leadMs = 30_000
/** As good as a store that hangs: what must not be complete by a deadline is not, however late the test itself is. */
const crawlingBytesPerSecond = mebibyte / 16

// Side by side, since all that they do is wait for a disk.
t.test('a store that has become too slow for the time left', { jobs: spotNotices.length + 4 }, async (t) => {
  t.test('known to be too slow: storing is cut short, and the application goes on meanwhile', { buffered: true }, cutShort) // prettier-ignore
  t.test('the pod is told to end while a checkpoint is being stored: its last one is taken at once', { buffered: true }, endsMeanwhile) // prettier-ignore
  t.test('the application crashes while a checkpoint is being stored: it is started again at once', { buffered: true }, crashesMeanwhile) // prettier-ignore
  t.test('enough for one of two containers: the one with more to lose is saved', { buffered: true }, ofTwo)
  for (const { what, open } of spotNotices)
    t.test(`${what}: at most one interval is lost`, { buffered: true }, async (t) => {
      const { config, announce } = await open(t)
      const stage = await openSurvivorStage(t, { config })
      const disk = await storeOnSlowDisk(t, stage, 512)
      const options = { mebibytes, annotations: { interval: `${intervalMs}ms` } }
      const pod = await runSurvivor(stage, options)
      await pod.waitForLog(sidecar, /"a cloud answers/, { deadlineMs })
      const periodic = await waitForWord(pod, 'a checkpoint was taken')
      t.match(periodic, { trigger: 'interval', ended: false })

      disk.slow(pod, crawlingBytesPerSecond)
      // Azure tells whole seconds.
      const deadline = Math.ceil(Date.now() / 1_000) * 1_000 + leadMs
      announce(new Date(deadline))
      const { plan } = await waitForWord(pod, 'a notice is answered')
      t.match(plan, /^app: full, \d+ ms needed /, 'what it once took would have fitted')
      t.match((await statusOf(pod)).notices.lastAnswer, { answer: 'checkpoint-and-hold', plan })
      await sleep(deadline - Date.now())
      const gone = pod.crash()
      disk.letGo()
      await gone

      t.equal(takenOf(pod).length, 1)
      t.same((await verifiedManifests(stage)).map(({ id }) => id), [periodic.checkpoint]) // prettier-ignore
      const next = await runSurvivor(stage, options)
      t.equal(await restoredFrom(next, String(periodic.checkpoint)), periodic.checkpoint)
      const lost = (stepsOf(pod).at(-1)?.step ?? 0) + 1 - (stepsOf(next)[0]?.step ?? 0)
      const lostMs = lost * usualStepMs(pod)
      t.comment(`${what}: ${lost} steps are made again, ${Math.round(lostMs)} ms of work; ${String(plan)}`)
      t.ok(lost > 0, 'the checkpoint that was begun is not used')
      t.ok(lostMs <= intervalMs, `${lostMs} ms of work are done again`)
    })
})

/** For a checkpoint that takes longer than there is, and is known to. */
const knownBytesPerSecond = 3 * mebibyte
/** Half of what it takes, and long beside what passes until it is begun. */
const cutAfterMs = 12_000

async function cutShort(t: Test): Promise<void> {
  const stage = await openSurvivorStage(t)
  const disk = await storeOnSlowDisk(t, stage, 512)
  const pod = await runSurvivor(stage, { mebibytes })
  disk.slow(pod, knownBytesPerSecond)
  const first = (await askControl(pod, {})).app
  t.match(first, { outcome: 'taken' })
  const deadline = Date.now() + cutAfterMs
  putNotice(pod, 'fan.json', { kind: 'machine-terminated', by: new Date(deadline).toISOString() })
  const { plan } = await waitForWord(pod, 'a notice is answered')
  t.match(plan, /^app: cut-short, \d+ ms needed /)
  disk.slow(pod, crawlingBytesPerSecond)
  await waitUntilStoring(pod)
  await goesOn(pod)
  t.equal(takenOf(pod).length, 1, 'the application made steps before it was stored')
  await sleep(deadline - Date.now())
  const gone = pod.crash()
  disk.letGo()
  await gone

  t.same((await verifiedManifests(stage)).map(({ id }) => id), [first?.id], 'nothing half is taken for whole') // prettier-ignore
  const next = await runSurvivor(stage, { mebibytes })
  t.equal(await restoredFrom(next, String(first?.id)), first?.id)
}

const takenOf = (pod: Pod) => sidecarEntries(pod).filter(({ msg }) => msg === 'a checkpoint was taken')

function waitUntilStoring(pod: Pod): Promise<true> {
  const storing = async () => (await statusOf(pod)).containers[0]?.storing === true || undefined
  return poll('a checkpoint to be stored', deadlineMs, storing, () => pod.describe())
}

async function storingForEver(t: Test, spec: object) {
  const stage = await openSurvivorStage(t)
  const disk = await storeOnSlowDisk(t, stage, 512)
  const pod = await runSurvivor(stage, { mebibytes, spec })
  const whole = await mustCheckpoint(pod)
  await goesOn(pod)
  disk.slow(pod, crawlingBytesPerSecond)
  const unanswered = askControl(pod, {})
  unanswered.catch(() => undefined)
  await waitUntilStoring(pod)
  return { stage, disk, pod, whole }
}

async function endsMeanwhile(t: Test): Promise<void> {
  const { stage, disk, pod } = await storingForEver(t, { terminationGracePeriodSeconds: 600 })
  const evicted = pod.evict()
  await waitForWord(pod, 'the storing of a checkpoint was broken off')
  disk.letGo()
  await evicted
  const [newest] = await verifiedManifests(stage)
  t.match(newest, { trigger: 'prestop' })
  const next = await runSurvivor(stage, { mebibytes })
  t.equal(await restoredFrom(next, String(newest?.id)), newest?.id)
  t.equal(stepsOf(next)[0]?.step, lastStep(pod) + 1, 'no step is lost')
}

async function crashesMeanwhile(t: Test): Promise<void> {
  const { disk, pod, whole } = await storingForEver(t, { restartPolicy: 'OnFailure' })
  killIfThere(...pod.container(application).processes())
  const again = () => stepsOf(pod).some(({ attempt }) => attempt === 1) || undefined
  await poll('the application to run again', deadlineMs, again, () => pod.describe())
  t.equal(await restoredFrom(pod, whole), whole, 'from the newest that is whole')
  t.equal(takenOf(pod).length, 1, 'and the second is not stored yet')
  disk.letGo()
}

/** So that a checkpoint of one container takes eight seconds: long beside all that varies. */
const slowerBytesPerSecond = 8 * mebibyte
/** What is left for the end of the machine itself (sidecar/triggers/notices/announced-checkpoints.ts). */
const marginMs = 1_000

async function ofTwo(t: Test): Promise<void> {
  const stage = await openSurvivorStage(t)
  const disk = await storeOnSlowDisk(t, stage, 512)
  const both = () => {
    const [own] = stage.survivor({ mebibytes }).spec.containers
    if (own === undefined) throw new Error('no container')
    const annotations = { containers: 'app,other' }
    return stage.survivor({ mebibytes, annotations, spec: { containers: [{ ...own, name: 'other' }] } })
  }
  const pod = await stage.run(both())
  for (const name of ['app', 'other']) await pod.waitForLog(name, /^step 10$/, { deadlineMs })
  disk.slow(pod, slowerBytesPerSecond)
  const first: Record<string, string | undefined> = {}
  // The one that is named first in the pod comes last: it has less to lose.
  for (const container of ['other', 'app']) {
    const answer = (await askControl(pod, { container }))[container]
    t.match(answer, { outcome: 'taken' })
    first[container] = answer?.id
  }
  const [most = 0, least = 0] = takenOf(pod)
    .map(({ totalMs }) => Number(totalMs))
    .sort((a, b) => b - a)
  // So late may the plan be made. With more than a whole checkpoint takes, the other would fit once the first takes no longer than before.
  const forHearingMs = 0.7 * least
  const deadline = Date.now() + marginMs + safetyFactor * most + forHearingMs
  putNotice(pod, 'fan.json', { kind: 'machine-terminated', by: new Date(deadline).toISOString() })
  const { plan } = await waitForWord(pod, 'a notice is answered')
  const told =
    /^other: full, (\d+) ms needed [^,]*,.* (\d+) ms left; app: (?:cut-short|keep-last), (\d+) ms needed /
  t.match(plan, told)
  const [, , leftMs, needMs] = told.exec(String(plan)) ?? []
  t.comment(String(plan))
  t.ok(Number(needMs) <= Number(leftMs), 'either alone would have had time enough')
  await poll('another checkpoint', deadlineMs, () => takenOf(pod)[2], () => pod.describe()) // prettier-ignore
  // The plan assumes more than it takes: as fast as before, the other might be complete in the rest of the time.
  disk.slow(pod, crawlingBytesPerSecond)
  await sleep(deadline - Date.now())
  const gone = pod.crash()
  disk.letGo()
  await gone

  const saved = await verifiedManifests(stage, 'other')
  t.same(saved.map(({ id }) => id).slice(1), [first.other], 'one more of the one') // prettier-ignore
  t.same((await verifiedManifests(stage, 'app')).map(({ id }) => id), [first.app], 'none of the other') // prettier-ignore
  const next = await stage.run(both())
  for (const name of ['app', 'other']) await next.waitForLog(name, /^step /, { deadlineMs })
  t.equal(await restoredFrom(next, saved[0]?.id, 'other'), saved[0]?.id)
  t.equal(await restoredFrom(next, first.app, 'app'), first.app)
  const redone = (name: string) => (stepsOf(pod, name).at(-1)?.step ?? 0) + 1 - (stepsOf(next, name)[0]?.step ?? 0) // prettier-ignore
  t.equal(redone('other'), 0, 'it goes on at the very next step')
  t.ok(redone('app') > 0, `${redone('app')} steps of the other are made again`)
}
