/** A container that crashes while its pod lives is restored by its sidecar, unless its checkpoint is what kills it. */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { poll } from '../harness/deadline.ts'
import type { Pod } from '../harness/pod.ts'
import { application, deadlineMs, exitCodeOf, sidecar, sidecarEntries, statusOf } from './support.ts'
import {
  goesOn,
  killIfThere,
  lastStep,
  mustCheckpoint,
  openSurvivorStage,
  rejectedBy,
  restoredFrom,
  runSurvivor,
  sidecarNode,
  stepsOf,
  waitForWord,
  type SurvivorStage,
} from './survivor.ts'

/** Steps of the container's nth life, from 0. */
const stepsOfLife = (pod: Pod, life: number) => stepsOf(pod).filter(({ attempt }) => attempt === life)

function lifeBegan(pod: Pod, life: number): Promise<number> {
  return poll(
    `steps of life ${life}`,
    deadlineMs,
    () => stepsOfLife(pod, life)[0]?.step,
    () => pod.describe(),
  )
}

/**
 * What is doomed dies with 7, but where CRIU finds a task gone while it lets go: it kills the others, and says so. Then that may be
 * what the application died of.
 */
function diesWith(pod: Pod, code: number): boolean {
  const words = sidecarEntries(pod).map(({ err }) => JSON.stringify(err))
  return (
    code === 7 || (code === 137 && words.some((text) => /Killing processes because of failure/.test(text)))
  )
}

/** By itself, and not again once it has been started anew. */
async function crash(stage: SurvivorStage, pod: Pod): Promise<void> {
  stage.tell('exit-5')
  await pod.waitFor('an exit', ({ containerStatuses: [app] }) => app?.state.kind !== 'running', deadlineMs)
  stage.takeBack('exit-5')
}

for (const restartPolicy of ['Always', 'OnFailure'] as const)
  t.test(
    `with restartPolicy ${restartPolicy} a crashed container goes on from its newest checkpoint`,
    async (t) => {
      const stage = await openSurvivorStage(t)
      const pod = await runSurvivor(stage, { spec: { restartPolicy } })
      await mustCheckpoint(pod)
      await goesOn(pod)
      const newest = await checkpointBetween(pod)
      await crash(stage, pod)
      const first = await lifeBegan(pod, 1)
      t.equal(await restoredFrom(pod, newest.id), newest.id)
      t.ok(newest.couldGoOnAt(first), `went on at step ${first}: ${JSON.stringify(newest)}`)
      await goesOn(pod)

      // Killed from outside, all of it at once, as the kernel does it when memory runs out.
      const again = await checkpointBetween(pod)
      killIfThere(...pod.container(application).processes())
      const second = await lifeBegan(pod, 2)
      t.equal(await restoredFrom(pod, again.id), again.id)
      t.ok(again.couldGoOnAt(second), `went on at step ${second}: ${JSON.stringify(again)}`)
      t.equal(
        pod.logLines(application).filter(({ text }) => text === 'began').length,
        1,
        'it never began anew',
      )
    },
  )

t.test('one that crashed before its first checkpoint goes on from it at every later crash', async (t) => {
  const stage = await openSurvivorStage(t)
  // Runs beside the launcher that waits, and is nobody's to end (post-start.test.ts); a kubelet ends a container whose hook fails.
  const postStart = { exec: { command: ['/bin/sh', '-c', 'sleep 2; echo done >> /control/hooks'] } }
  const pod = await runSurvivor(stage, { spec: { restartPolicy: 'Always' }, lifecycle: { postStart } })
  const hooks = join(stage.folder, 'control/hooks')
  const hookDone = (life: number) =>
    poll(
      `the postStart hook of life ${life}`,
      deadlineMs,
      () =>
        existsSync(hooks) && readFileSync(hooks, 'utf8') === 'done\n'.repeat(life + 1) ? true : undefined,
      () => pod.describe(),
    )
  await hookDone(0)
  await crash(stage, pod)
  await pod.waitForLog(application, /^began$/, { nth: 2, deadlineMs })
  // From here on each launcher has the number that the one before it had (asidePid).
  for (const life of [2, 3, 4]) {
    await goesOn(pod)
    await hookDone(life - 1)
    const newest = await checkpointBetween(pod)
    await crash(stage, pod)
    const first = await lifeBegan(pod, life)
    t.equal(await restoredFrom(pod, newest.id), newest.id)
    t.ok(newest.couldGoOnAt(first), `life ${life} went on at step ${first}: ${JSON.stringify(newest)}`)
  }
  await goesOn(pod)
  await hookDone(4)
  t.equal(pod.container(application).attempts, 5)
  t.equal(pod.logLines(application).filter(({ text }) => text === 'began').length, 2, 'it began anew once')
})

t.test('a checkpoint from which the application died twice is passed over for an older one', async (t) => {
  const stage = await openSurvivorStage(t)
  const pod = await runSurvivor(stage, { spec: { restartPolicy: 'Always' } })
  const healthy = await mustCheckpoint(pod)
  await goesOn(pod)
  stage.tell('doom')
  await pod.waitForLog(application, /^doomed$/, { deadlineMs })
  stage.takeBack('doom')
  const doomed = await mustCheckpoint(pod)
  stage.tell('die')
  const first = await lifeBegan(pod, 3)
  t.equal(await restoredFrom(pod, healthy), healthy)
  t.match(await rejectedBy(pod), [{ id: doomed, reason: 'died-early' }])
  t.ok(first > 1, `it went on at step ${first}`)
  const lives = [1, 2].map((life) => stepsOfLife(pod, life).length)
  t.ok(
    lives.every((steps) => steps <= 2),
    'two lives of the doomed one, each short',
  )
  const codes = pod.events.flatMap(({ message }) => /^container app: (\d+) Error$/.exec(message)?.[1] ?? [])
  t.equal(codes.length, 3)
  t.ok(
    codes.every((code) => diesWith(pod, Number(code))),
    `it died with ${codes.join()}`,
  )
  await goesOn(pod)
})

t.test(
  'a checkpoint from which the application died twice, and the only one, leaves a cold start',
  async (t) => {
    const stage = await openSurvivorStage(t)
    const pod = await runSurvivor(stage, { spec: { restartPolicy: 'OnFailure' } })
    stage.tell('doom')
    await pod.waitForLog(application, /^doomed$/, { deadlineMs })
    stage.takeBack('doom')
    const doomed = await mustCheckpoint(pod)
    stage.tell('die')
    await pod.waitForLog(application, /^began$/, { nth: 2, deadlineMs })
    t.equal(await lifeBegan(pod, 3), 1)
    t.equal(await restoredFrom(pod), undefined)
    t.match(await rejectedBy(pod), [{ id: doomed, reason: 'died-early' }])
    await goesOn(pod)
    const next = await pod.delete().then(() => runSurvivor(stage))
    t.not((await statusOf(next)).containers[0]?.restoredFrom, doomed, 'nor does the next pod try it')
  },
)

t.test(
  'early deaths count across pods: the second pod that dies of a checkpoint is the last to try it',
  async (t) => {
    const stage = await openSurvivorStage(t)
    // It dies a millisecond after it was let go, perhaps while CRIU is still letting go of its child.
    const options = { stepMs: 1 }
    const pod = await runSurvivor(stage, options)
    const healthy = await mustCheckpoint(pod)
    await goesOn(pod)
    stage.tell('doom')
    await pod.waitForLog(application, /^doomed$/, { deadlineMs })
    stage.takeBack('doom')
    const doomed = await mustCheckpoint(pod)
    stage.tell('die')
    t.match(await pod.waitUntilEnded(deadlineMs), { phase: 'Failed' })
    for (const time of ['first', 'second']) {
      const dying = await stage.run(stage.survivor(options))
      await dying.waitUntilEnded(deadlineMs)
      await waitForWord(dying, 'the application died, and its checkpoint is to blame')
      t.ok(diesWith(dying, exitCodeOf(dying)), `the ${time} restore died with ${exitCodeOf(dying)}`)
    }
    const last = await runSurvivor(stage, options)
    t.equal(await restoredFrom(last, healthy), healthy)
    t.match(await rejectedBy(last), [{ id: doomed, reason: 'died-early' }])
  },
)

t.test('exit 0 ends the lineage: its checkpoints go, and the next pod begins anew', async (t) => {
  const stage = await openSurvivorStage(t)
  const pod = await runSurvivor(stage)
  await mustCheckpoint(pod)
  await goesOn(pod)
  await mustCheckpoint(pod)
  t.equal((await stage.manifests()).length, 2)
  stage.tell('exit-0')
  t.match(await pod.waitUntilEnded(deadlineMs), { phase: 'Succeeded' })
  stage.takeBack('exit-0')
  await waitForWord(pod, 'the application finished: its lineage ends')
  t.same(await stage.manifests(), [])
  const next = await runSurvivor(stage)
  t.equal(stepsOf(next)[0]?.step, 1)
  t.equal(await restoredFrom(next), undefined)
  t.ok(await mustCheckpoint(next), 'the new work has checkpoints of its own')
  await next.evict()
  const third = await runSurvivor(stage)
  t.ok((stepsOf(third)[0]?.step ?? 0) > 1, 'and goes on from them')
})

t.test('an exit with 0 because the pod was told to end is no end of the work', async (t) => {
  const stage = await openSurvivorStage(t)
  const env = [{ name: 'TERM_CODE', value: '0' }]
  const pod = await runSurvivor(stage, { env })
  const kept = await mustCheckpoint(pod)
  await goesOn(pod)
  // Without CRIU there is no last checkpoint: the application is told to end, and obeys.
  rmSync(join(pod.volumeFolder('reprieve'), 'bin/criu'))
  await endsAndGoesOn(t, { stage, pod, kept, options: { env } })
})

t.test(
  'an exit with 0 after SIGTERM is no end of the work, also when the sidecar knows nothing of the end',
  async (t) => {
    const stage = await openSurvivorStage(t)
    // It takes its time: the sidecar is back before it has ended.
    const options = { env: [{ name: 'TERM_CODE', value: '0' }], stepMs: 1_500 }
    const pod = await runSurvivor(stage, options)
    const kept = await mustCheckpoint(pod)
    // Its guard starts it again once the hook has found none.
    process.kill(pod.pidOf(sidecar), 'SIGSTOP')
    process.kill(await sidecarNode(pod), 'SIGKILL')
    const back = pod
      .waitForLog(application, /^told to end$/, { deadlineMs })
      .finally(() => pod.killContainer(sidecar, 'SIGCONT'))
    await endsAndGoesOn(t, { stage, pod, kept, options })
    await back
  },
)

type Ending = { stage: SurvivorStage; pod: Pod; kept: string; options: Parameters<typeof runSurvivor>[1] }

/** Told to end, the pod exits with 0; its only checkpoint stays, and the next pod goes on from it. */
async function endsAndGoesOn(t: Test, { stage, pod, kept, options }: Ending): Promise<void> {
  await pod.evict()
  t.equal(exitCodeOf(pod), 0)
  t.ok(
    pod.logLines(application).some(({ text }) => text === 'told to end'),
    pod.describe(),
  )
  t.same(
    (await stage.manifests()).map(({ id }) => id),
    [kept],
  )
  const next = await runSurvivor(stage, options)
  t.equal(await restoredFrom(next, kept), kept)
}

/** A checkpoint, and the steps between which it stood still. */
async function checkpointBetween(pod: Pod) {
  const before = lastStep(pod)
  const id = await mustCheckpoint(pod)
  await goesOn(pod)
  const after = lastStep(pod)
  return { id, before, after, couldGoOnAt: (step: number) => step > before && step <= after }
}
