/** CRIU, the sidecar and the whole pod are killed at random instants of a checkpoint: of the last one, or with all else. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Pod } from '../harness/pod.ts'
import { poll } from '../harness/deadline.ts'
import { drawn, kills, large, requireStore, type Kept } from './kills.ts'
import { application, deadlineMs, sidecar } from './support.ts'
import {
  checkpoint,
  criuCommand,
  killIfThere,
  lastStep,
  mustCheckpoint,
  openSurvivorStage,
  restoredFrom,
  runSurvivor,
  sidecarProcesses,
  stepsOf,
  waitForWord,
  type SurvivorStage,
} from './survivor.ts'

/** In the grace period fit the budget of a checkpoint and the application's own end. */
const options = { ...large, env: [{ name: 'TERM_CODE', value: '0' }] }

/** A pod from the store as it is; goes on with the pod before it from the newest checkpoint, whatever that went through. */
async function successor(stage: SurvivorStage, kept: Kept, latest: number): Promise<Pod> {
  const newest = await requireStore(stage, kept)
  const pod = await runSurvivor(stage, options)
  const from = await restoredFrom(pod, newest)
  if (from !== newest) throw new Error(`it came from ${from}, the newest is ${newest}\n${pod.describe()}`)
  const first = stepsOf(pod)[0]?.step ?? 0
  if (newest !== undefined && (first < 2 || first > latest + 1))
    throw new Error(`it went on at step ${first} after ${latest}\n${pod.describe()}`)
  return pod
}

const victims: Record<string, (pod: Pod, wholeMs: number, share: number) => Promise<void>> = {
  CRIU: async (pod, wholeMs, share) => {
    // On a busy machine it may be over before it is seen: then this kill hits nothing.
    await poll(
      'CRIU to begin',
      deadlineMs,
      () => sidecarProcesses(pod, `${criuCommand} dump`).length > 0 || pod.hasEnded || undefined,
    )
    await sleep(share * wholeMs)
    killIfThere(...sidecarProcesses(pod, `${criuCommand} dump`))
  },
  'the sidecar’s own process': async (pod, wholeMs, share) => {
    await sleep(share * wholeMs)
    killIfThere(...sidecarProcesses(pod, '/usr/local/bin/node /opt'))
  },
  'the sidecar’s whole container': async (pod, wholeMs, share) => {
    await sleep(share * wholeMs)
    pod.killContainer(sidecar, 'SIGKILL')
  },
  'the whole pod': async (pod, wholeMs, share) => {
    await sleep(share * wholeMs)
    await pod.crash()
  },
}

for (const [victim, kill] of Object.entries(victims))
  t.test(
    `whenever ${victim} is killed at the pod’s end, its replacement goes on from the newest checkpoint`,
    async (t) => {
      const random = drawn(t)
      const stage = await openSurvivorStage(t)
      const kept: Kept = { taken: undefined, held: 0 }
      let pod = await runSurvivor(stage, options)
      kept.taken = await mustCheckpoint(pod)
      const wholeMs = await lastCheckpointMs(pod)
      const outcomes: Record<string, number> = {}
      pod = await successor(stage, kept, lastStep(pod))
      for (let round = 0; round < kills; round++) {
        const ended = pod.evict()
        await kill(pod, wholeMs, random())
        await ended
        const outcome = outcomeOf(pod)
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
        pod = await successor(stage, kept, lastStep(pod))
        kept.held++
      }
      t.comment(`${kills} kills over ${wholeMs} ms: held ${kept.held}, pods ${JSON.stringify(outcomes)}`)
      t.equal(kept.held, kills)
    },
  )

t.test(
  'whenever a pod’s node loses its power in a checkpoint, the replacement goes on from the last complete one',
  async (t) => {
    const random = drawn(t)
    const stage = await openSurvivorStage(t)
    const kept: Kept = { taken: undefined, held: 0 }
    let pod = await runSurvivor(stage, options)
    const began = Date.now()
    kept.taken = await mustCheckpoint(pod)
    const wholeMs = Date.now() - began
    for (let round = 0; round < kills; round++) {
      const asked = checkpoint(pod).catch(() => undefined)
      await sleep(random() * wholeMs)
      await pod.crash()
      const outcome = await asked
      if (outcome?.outcome === 'taken') kept.taken = outcome.id
      pod = await successor(stage, kept, lastStep(pod))
      kept.held++
    }
    t.comment(`${kills} crashes over ${wholeMs} ms: held ${kept.held}`)
    t.equal(kept.held, kills)
  },
)

/** Evicts the pod; how long that took is how long the last checkpoint takes. */
async function lastCheckpointMs(pod: Pod): Promise<number> {
  const began = Date.now()
  await pod.evict()
  await waitForWord(pod, 'a checkpoint was taken')
  return Date.now() - began
}

/** What the application's container came to: held for its checkpoint, ended by itself, or killed with the pod. */
function outcomeOf(pod: Pod): string {
  const { state } = pod.container(application)
  const told = pod.logLines(application).some(({ text }) => text === 'told to end')
  return `${told ? 'told to end, ' : ''}${state.kind === 'terminated' ? state.exitCode : state.kind}`
}
