/**
 * Whatever of Reprieve is missing or hangs, the application runs: at the latest when its launcher has waited as long as
 * launcher/PROTOCOL.md says, ten seconds from its start or from the sidecar's last word (patienceMs), and later only where
 * there is a checkpoint to go on from.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { PodManifest } from '../harness/manifest.ts'
import type { Pod } from '../harness/pod.ts'
import { poll, slowness, within } from '../harness/deadline.ts'
import { drawn, requireStore, requireThawed, staged } from './kills.ts'
import {
  application,
  deadlineMs,
  endlessPatience,
  exitCodeOf,
  patienceMs,
  type PodOptions,
  restorer,
  sidecar,
  sidecarEntries,
  soaking,
  statusOf,
} from './support.ts'
import {
  checkpoint,
  frozenProcesses,
  gapsIn,
  goesOn,
  killIfThere,
  stopIfThere,
  lastStep,
  mustCheckpoint,
  openSurvivorStage,
  rejectedBy,
  restoredFrom,
  runSurvivor,
  sidecarNode,
  stepsOf,
  waitForState,
  waitForWord,
  type SurvivorStage,
} from './survivor.ts'

// They wait more than they work.
t.jobs = 4
const beside = () => ({ buffered: true })

/** For starting a process and writing a line on a machine that is busy with others. */
const slackMs = 60_000 * slowness
/** Whoever waited for something at a pod's end would be waited for by the test in vain. */
const endlessGraceSeconds = 3_600

/** How long after the container's start its application said its first word. */
function waitedMs(pod: Pod): number {
  const { state } = pod.container(application)
  const first = pod.logLines(application)[0]?.timeMs ?? 0
  return state.kind === 'running' ? first - state.startedAtMs : Number.NaN
}

/** @returns the id of the checkpoint of a pod that is gone */
async function leaveCheckpoint(stage: SurvivorStage): Promise<string> {
  const pod = await runSurvivor(stage)
  const id = await mustCheckpoint(pod)
  await pod.crash()
  return id
}

/** So that a test of what happens once that has passed, too, does not wait for two minutes. */
const shortPatience = { env: [{ name: 'REPRIEVE_PATIENCE_WITH_CHECKPOINT_MS', value: String(patienceMs) }] }

function sidecarOf(pod: PodManifest) {
  const found = pod.spec.initContainers?.find(({ name }) => name === sidecar)
  if (found === undefined) throw new Error('the webhook injected no sidecar')
  return found
}

const withoutSidecar: Record<string, (admitted: PodManifest) => void> = {
  'is missing': ({ spec }) => {
    spec.initContainers = (spec.initContainers ?? []).filter(({ name }) => name !== sidecar)
  },
  'ends at once': (pod) => {
    sidecarOf(pod).command = ['/usr/local/bin/node', '-e', 'process.exit(1)']
  },
  'is kept by its guard, but never comes up': (pod) => {
    const { command = [] } = sidecarOf(pod)
    sidecarOf(pod).command = [
      ...command.slice(0, 3),
      '/usr/local/bin/node',
      '-e',
      'throw new Error("broken")',
    ]
  },
}

t.test('without a sidecar the application starts by itself after ten seconds', beside(), async (t) => {
  const stage = await openSurvivorStage(t)
  await leaveCheckpoint(stage)
  const pods = Object.entries(withoutSidecar).map(async ([how, change]) => {
    const spec = { terminationGracePeriodSeconds: endlessGraceSeconds }
    const admitted = stage.admit(stage.survivor({ ...shortPatience, spec }))
    change(admitted)
    const pod = await stage.runPlain(admitted)
    await goesOn(pod)
    const ms = waitedMs(pod)
    t.ok(ms > patienceMs - 500 && ms < patienceMs + slackMs, `a sidecar that ${how}: ${ms} ms`)
    t.equal(stepsOf(pod)[0]?.step, 1)
    t.match(pod.logs(application), /no verdict from the sidecar/, 'and its log says why')
    // Nor does its end wait for one that is not there.
    await within(pod.delete(), deadlineMs)
    t.ok(pod.hasEnded, 'it has ended')
  })
  await Promise.all(pods)
  t.equal((await stage.manifests()).length, 1, 'what was kept is kept')
})

t.test(
  'an application that began without its sidecar is protected as soon as that is there',
  beside(),
  async (t) => {
    const stage = await openSurvivorStage(t)
    const { pod, open } = await gatedPod(stage)
    await waitForWord(pod, 'the sidecar is ready')
    const node = await sidecarNode(pod)
    process.kill(node, 'SIGSTOP')
    open()
    await goesOn(pod)
    const ms = waitedMs(pod)
    t.ok(ms > patienceMs - 500 && ms < patienceMs + slackMs, `a sidecar that hangs from the start: ${ms} ms`)
    process.kill(node, 'SIGCONT')
    await waitForState(pod, 'running')
    await goesOn(pod)
    t.same(gapsIn([pod]), [], 'there is one application, not two')
    const id = await mustCheckpoint(pod)
    t.equal(await requireStore(stage, { taken: id, held: 0 }), id)
  },
)

/** The sidecar is up, and the application's container begins when it is let. */
async function gatedPod(
  stage: SurvivorStage,
  more: PodOptions = {},
): Promise<{ pod: Pod; open: () => void }> {
  const gate = {
    name: 'gate',
    image: 'app',
    command: ['sh', '-c', 'until [ -e /control/open ]; do sleep 0.02; done'],
    volumeMounts: [{ name: 'control', mountPath: '/control' }],
  }
  const pod = await stage.run(stage.survivor({ ...more, spec: { ...more.spec, initContainers: [gate] } }))
  return { pod, open: () => stage.tell('open') }
}

/** A pod for which a checkpoint was fetched, whose application begins when it is opened. */
async function fetchedPod(t: Test) {
  const stage = await openSurvivorStage(t)
  await leaveCheckpoint(stage)
  const gated = await gatedPod(stage, shortPatience)
  await waitForWord(gated.pod, 'the sidecar is ready')
  t.ok(hasFetched(gated.pod), 'a checkpoint was fetched for it')
  return { stage, ...gated }
}

const hasFetched = (pod: Pod) => staged(pod).some((name) => name.includes('.fetched'))

async function stagingIsEmptied(pod: Pod): Promise<void> {
  await poll(
    'staging to be empty',
    deadlineMs,
    () => (hasFetched(pod) ? undefined : true),
    () => pod.describe(),
  )
}

t.test('what was fetched goes where another pod has taken the lineage meanwhile', beside(), async (t) => {
  const { stage, pod, open } = await fetchedPod(t)
  const [manifest] = await stage.manifests()
  if (manifest === undefined) throw new Error('there is no checkpoint')
  const file = await stage.store.lockFile(manifest.slot, AbortSignal.timeout(deadlineMs))
  const holder = spawn('flock', [file, 'cat'], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => holder.kill('SIGKILL'))
  holder.stdin.write('held')
  await once(holder.stdout, 'data')
  open()
  await goesOn(pod)
  t.match(await rejectedBy(pod), [{ reason: 'lineage-busy' }])
  await stagingIsEmptied(pod)
})

t.test('what was fetched goes where the application began before its turn came', beside(), async (t) => {
  const { pod, open } = await fetchedPod(t)
  const node = await sidecarNode(pod)
  process.kill(node, 'SIGSTOP')
  open()
  await goesOn(pod)
  process.kill(node, 'SIGCONT')
  await waitForState(pod, 'running')
  await stagingIsEmptied(pod)
})

/** A launcher has said that it waits longer, so often in the pod's life. */
async function waitsFor(pod: Pod, times: number): Promise<void> {
  const said = () =>
    pod
      .logLines(application)
      .filter(({ text }) => text.includes('waiting longer, because there is a checkpoint'))
  await poll(
    'a launcher’s longer patience',
    deadlineMs,
    () => said().length >= times || undefined,
    () => pod.describe(),
  )
}

t.test(
  'a sidecar that comes late to a checkpoint is waited for: the work in it is worth more than the seconds',
  beside(),
  async (t) => {
    const stage = await openSurvivorStage(t)
    const before = await runSurvivor(stage)
    const latest = lastStep(before)
    const kept = await mustCheckpoint(before)
    await before.crash()
    const { pod, open } = await gatedPod(stage, { spec: { restartPolicy: 'Always' } })
    await waitForWord(pod, 'the sidecar is ready')
    const node = await sidecarNode(pod)
    process.kill(node, 'SIGSTOP')
    open()
    await waitsFor(pod, 1)
    t.equal(stepsOf(pod).length, 0)
    process.kill(node, 'SIGCONT')
    await goesOn(pod)
    t.equal(await restoredFrom(pod, kept), kept)
    t.ok((stepsOf(pod)[0]?.step ?? 0) >= latest, 'nothing was begun again')
    // A container that is started again in the same pod has the checkpoint as well, and no restore init container has run.
    process.kill(node, 'SIGSTOP')
    pod.killContainer(application)
    await waitsFor(pod, 2)
    process.kill(node, 'SIGCONT')
    await goesOn(pod)
    t.equal(stepsOf(pod).filter(({ step }) => step === 1).length, 0)
  },
)

t.test(
  'a sidecar that hangs in the middle of a restore does not hold the application up for ever',
  beside(),
  async (t) => {
    const random = drawn(t)
    const stage = await openSurvivorStage(t)
    const kept = await leaveCheckpoint(stage)
    // How long it takes undisturbed.
    const undisturbed = await gatedPod(stage)
    await waitForWord(undisturbed.pod, 'the sidecar is ready')
    const asked = Date.now()
    undisturbed.open()
    await waitForWord(undisturbed.pod, 'the application went on from its checkpoint')
    const wholeMs = Date.now() - asked
    stage.takeBack('open')
    await undisturbed.pod.crash()
    const instants = soaking ? 30 : 2
    const outcomes: Record<string, number> = {}
    for (let round = 0; round < instants; round++) {
      const { pod, open } = await gatedPod(stage, shortPatience)
      const node = await sidecarNode(pod)
      await waitForWord(pod, 'the sidecar is ready')
      open()
      await pod.waitFor(
        'the container',
        ({ containerStatuses: [app] }) => app?.state.kind === 'running',
        deadlineMs,
      )
      await sleep(random() * wholeMs)
      process.kill(node, 'SIGSTOP')
      const stopped = Date.now()
      await poll(
        'a step',
        deadlineMs,
        () => stepsOf(pod)[0],
        () => pod.describe(),
      )
      const ms = (stepsOf(pod)[0]?.timeMs ?? 0) - stopped
      // Where it hung between the adoption and CRIU's end, and only there, the launcher's patience comes after the hook's.
      const broken = /the restore ended before the application resumed/.test(pod.logs(application))
        ? patienceMs
        : 0
      t.ok(ms < patienceMs + broken + slackMs, `${ms} ms after it began to hang`)
      process.kill(node, 'SIGCONT')
      await waitForState(pod, 'running')
      await goesOn(pod)
      t.same(gapsIn([pod]), [], 'there is one application, not two')
      await requireThawed(pod)
      const from = stepsOf(pod)[0]?.step === 1 ? 'cold' : 'restored'
      outcomes[from] = (outcomes[from] ?? 0) + 1
      stage.takeBack('open')
      await pod.crash()
      t.same(
        (await stage.manifests()).map(({ id }) => id),
        [kept],
      )
    }
    t.comment(`${instants} instants over ${wholeMs} ms: ${JSON.stringify(outcomes)}`)
  },
)

t.test(
  'a sidecar that hangs in the last checkpoint leaves the application its own end',
  beside(),
  async (t) => {
    const random = drawn(t)
    const stage = await openSurvivorStage(t)
    const options = { mebibytes: 64, env: [{ name: 'TERM_CODE', value: '4' }] }
    let pod = await runSurvivor(stage, options)
    let taken = await mustCheckpoint(pod)
    const instants = soaking ? 30 : 2
    const outcomes: Record<string, number> = {}
    for (let round = 0; round < instants; round++) {
      const node = await sidecarNode(pod)
      const began = Date.now()
      const ended = pod.evict()
      await sleep(random() * 500)
      // An eviction that is over by then has left no sidecar to hang.
      stopIfThere(node)
      await poll('the application’s end', deadlineMs, () =>
        pod.container(application).running ? undefined : true,
      )
      const ms = Date.now() - began
      // The preStop waits 5 s for a word, CRIU's hook 10 s; then comes what the application needs itself.
      t.ok(ms < 5_000 + patienceMs + slackMs, `it ended ${ms} ms after the eviction`)
      const code = exitCodeOf(pod)
      outcomes[code] = (outcomes[code] ?? 0) + 1
      killIfThere(node)
      await ended
      const newest = await requireStore(stage, { taken, held: 0 })
      // 137 where the sidecar hung after its checkpoint had ended the application, before it could tell the launcher to hold.
      t.ok(
        [4, 143].includes(code) || (code === 137 && newest !== taken),
        `exit code ${code}: its own, or that of a container whose checkpoint is in the store`,
      )
      const latest = lastStep(pod)
      pod = await runSurvivor(stage, options)
      t.equal(await restoredFrom(pod, newest), newest)
      t.ok((stepsOf(pod)[0]?.step ?? 0) <= latest + 1)
      taken = newest ?? taken
    }
    t.comment(`${instants} instants: exit codes ${JSON.stringify(outcomes)}`)
  },
)

t.test(
  'a sidecar that hangs in a checkpoint does not keep the application standing still',
  beside(),
  async (t) => {
    const stage = await openSurvivorStage(t)
    // Large: it stands still for long enough to be seen.
    const pod = await runSurvivor(stage, { mebibytes: 256 })
    const node = await sidecarNode(pod)
    const asked = checkpoint(pod, { afterwards: 'end' }).catch(() => undefined)
    await waitUntilStill(pod)
    process.kill(node, 'SIGSTOP')
    await goesOn(pod, patienceMs + slackMs)
    process.kill(node, 'SIGCONT')
    await asked
    await pod.crash()
    await requireStore(stage, { taken: undefined, held: 0 })
  },
)

/** CRIU has stopped the application. */
async function waitUntilStill(pod: Pod): Promise<void> {
  await poll('the application to stand still', deadlineMs, () =>
    frozenProcesses(pod).length > 0 ? true : undefined,
  )
}

t.test(
  'without CRIU the application starts at once, from its beginning, and ends as it would',
  beside(),
  async (t) => {
    const stage = await openSurvivorStage(t)
    const kept = await leaveCheckpoint(stage)
    const { pod, open } = await gatedPod(stage, { env: endlessPatience })
    await waitForWord(pod, 'the sidecar is ready')
    rmSync(join(pod.volumeFolder('reprieve'), 'bin/criu'))
    open()
    await goesOn(pod)
    t.equal(stepsOf(pod)[0]?.step, 1)
    t.match(await rejectedBy(pod), [{ id: kept, reason: 'restore-failed' }])
    t.match(await checkpoint(pod), { outcome: 'failed', reason: 'dump-failed' })
    t.match((await statusOf(pod)).containers[0], { lastCheckpoint: { outcome: 'failed' } })
    await goesOn(pod)
    await pod.evict()
    t.equal(exitCodeOf(pod), 143, 'by SIGTERM')
    t.equal((await stage.manifests())[0]?.id, kept)
  },
)

t.test(
  'an application whose restore init container did nothing runs all the same, unprotected',
  beside(),
  async (t) => {
    const stage = await openSurvivorStage(t)
    const kept = await leaveCheckpoint(stage)
    const admitted = stage.admit(stage.survivor())
    const restore = admitted.spec.initContainers?.find(({ name }) => name === restorer)
    if (restore?.command === undefined) throw new Error('the webhook injected no restore init container')
    // As when it runs out of its time: `guard --once` ends with 0 whatever becomes of it.
    restore.command = restore.command.map((word) =>
      word.startsWith('--deadline-ms=') ? '--deadline-ms=1' : word,
    )
    const pod = await stage.runPlain(admitted)
    await goesOn(pod)
    t.equal(sidecarEntries(pod, restorer).length, 0, 'it got to nothing')
    t.ok(waitedMs(pod) < patienceMs + slackMs, `after ${waitedMs(pod)} ms`)
    t.equal((await stage.manifests())[0]?.id, kept, 'what was kept is kept')
  },
)
