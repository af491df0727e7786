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
/** Longer than a checkpoint takes: none is under way when the notice comes. */
const intervalMs = 10_000 * slowness
/** What GCP gives in any case; the others are heard of as late as that. */
const leadMs = 30_000
/** By the deadline half of it, at the most. */
const slowBytesPerSecond = mebibyte

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

      disk.slow(pod, slowBytesPerSecond)
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
const knownBytesPerSecond = 6 * mebibyte
const cutAfterMs = 6_000

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
  const answeredAt = stepsOf(pod).length
  // By now it is about to be cut short.
  await sleep(deadline - 1_500 - Date.now())
  const madeMeanwhile = stepsOf(pod).length - answeredAt
  t.ok(madeMeanwhile > 0, `${madeMeanwhile} steps were made while it was stored`)
  t.equal(takenOf(pod).length, 1, 'it is not stored yet')
  await sleep(deadline - Date.now())
  const gone = pod.crash()
  disk.letGo()
  await gone

  t.same((await verifiedManifests(stage)).map(({ id }) => id), [first?.id], 'nothing half is taken for whole') // prettier-ignore
  const next = await runSurvivor(stage, { mebibytes })
  t.equal(await restoredFrom(next, String(first?.id)), first?.id)
}

const takenOf = (pod: Pod) => sidecarEntries(pod).filter(({ msg }) => msg === 'a checkpoint was taken')

/** As good as a store that hangs. */
const crawlingBytesPerSecond = mebibyte / 16

async function storingForEver(t: Test, spec: object) {
  const stage = await openSurvivorStage(t)
  const disk = await storeOnSlowDisk(t, stage, 512)
  const pod = await runSurvivor(stage, { mebibytes, spec })
  const whole = await mustCheckpoint(pod)
  await goesOn(pod)
  disk.slow(pod, crawlingBytesPerSecond)
  const unanswered = askControl(pod, {})
  unanswered.catch(() => undefined)
  await poll('the second to be stored', deadlineMs, async () => (await statusOf(pod)).containers[0]?.storing || undefined) // prettier-ignore
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

/** So that a checkpoint of one container takes some seconds: long beside all that varies. */
const slowerBytesPerSecond = 15 * mebibyte
/** Until a file is seen, and others have had their say. */
const hearingMs = 1_300
/** What is left for the end of the machine itself (sidecar/triggers/notices/trigger.ts). */
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
  const took = sidecarEntries(pod).flatMap(({ msg, totalMs }) => msg === 'a checkpoint was taken' ? [Number(totalMs)] : []) // prettier-ignore
  const deadline = Date.now() + hearingMs + safetyFactor * Math.max(...took) + 500 + marginMs
  putNotice(pod, 'fan.json', { kind: 'machine-terminated', by: new Date(deadline).toISOString() })
  const { plan } = await waitForWord(pod, 'a notice is answered')
  const told =
    /^other: full, (\d+) ms needed [^,]*,.* (\d+) ms left; app: (?:cut-short|keep-last), (\d+) ms needed /
  t.match(plan, told)
  const [, , leftMs, needMs] = told.exec(String(plan)) ?? []
  t.comment(String(plan))
  t.ok(Number(needMs) <= Number(leftMs), 'either alone would have had time enough')
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
