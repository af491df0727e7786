/** CRIU and the sidecar are killed at random instants of a checkpoint after which the application is to go on. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import type { Pod } from '../harness/pod.ts'
import { poll } from '../harness/deadline.ts'
import { drawn, kills, large, requireAlive, requireStore, requireThawed, staged, type Kept } from './kills.ts'
import { application, deadlineMs, exitCodeOf, sidecar } from './support.ts'
import {
  checkpoint,
  criuCommand,
  gapsIn,
  killIfThere,
  lastStep,
  mustCheckpoint,
  openSurvivorStage,
  restoredFrom,
  runSurvivor,
  sidecarNode,
  sidecarProcesses,
  stepsOf,
  waitForState,
  type SurvivorStage,
} from './survivor.ts'

/**
 * 128 + SIGTRAP: for a fraction of a millisecond, while it injects a system call, CRIU has a breakpoint in a task's own code;
 * killed just then, it cannot take that back. 128 + SIGPIPE: or its parasite in the task answers it when it is gone. The
 * application dies of it, and its last complete checkpoint is what survives. 9: its child died of it (survivor.c).
 */
const deathsByCriu: ReadonlySet<number | undefined> = new Set([133, 141, 9])

type Killing = {
  /** Whether CRIU itself dies by the kill. */
  killsCriu: boolean
  /** Waits for the instant from which the delay counts, and tells over how long the delays are drawn. */
  from: (pod: Pod, wholeMs: number, isOver: () => boolean) => Promise<number>
  kill: (pod: Pod) => void
}

const killings: Record<string, Killing> = {
  CRIU: {
    killsCriu: true,
    from: async (pod, wholeMs, isOver) => {
      // On a busy machine it may be over before it is seen: then this kill hits nothing.
      await poll(
        'CRIU to begin',
        deadlineMs,
        () => sidecarProcesses(pod, `${criuCommand} dump`).length > 0 || isOver() || undefined,
      )
      return wholeMs / 2
    },
    kill: (pod) => killIfThere(...sidecarProcesses(pod, `${criuCommand} dump`)),
  },
  'the sidecar’s own process': {
    killsCriu: false,
    from: async (_, wholeMs) => wholeMs,
    kill: (pod) => killIfThere(...sidecarProcesses(pod, '/usr/local/bin/node /opt')),
  },
  'the sidecar’s whole container': {
    killsCriu: true,
    from: async (_, wholeMs) => wholeMs,
    kill: (pod) => pod.killContainer(sidecar, 'SIGKILL'),
  },
}

for (const [victim, killing] of Object.entries(killings))
  t.test(
    `whenever ${victim} is killed, the application goes on or its last checkpoint does, and none is lost or half`,
    async (t) => {
      const random = drawn(t)
      const stage = await openSurvivorStage(t)
      let pod = await runSurvivor(stage, large)
      const began = Date.now()
      const kept: Kept = { taken: await mustCheckpoint(pod), held: 0 }
      const wholeMs = Date.now() - began
      const outcomes: Record<string, number> = {}
      let died = 0
      for (let round = 0; round < kills; round++) {
        const outcome = await killedOnce(pod, killing, wholeMs, random(), kept)
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
        let code = killing.killsCriu ? await endedWith(stage, pod) : undefined
        code ??= await livesOn(stage, pod, kept)
        if (code !== undefined) {
          t.ok(killing.killsCriu && deathsByCriu.has(code), `it ended with ${code}`)
          died++
          t.same(gapsIn([pod]), [], 'no step was lost or repeated before it died')
          const newest = await requireStore(stage, kept)
          pod = await runSurvivor(stage, large)
          t.equal(await restoredFrom(pod, newest), newest)
          t.equal(await livesOn(stage, pod, kept), undefined)
        }
        kept.held++
      }
      t.comment(
        `${kills} kills over ${wholeMs} ms: held ${kept.held}, ${died} of them by the checkpoint, checkpoints ${JSON.stringify(outcomes)}`,
      )
      t.equal(kept.held, kills)
      t.ok(
        died <= Math.max(3, kills / 10),
        `${died} of ${kills} kills hit CRIU where that takes the application along`,
      )
      t.same(gapsIn([pod]), [], 'no step was lost or repeated')
      await goesOnElsewhere(t, stage, pod)
    },
  )

/** The exit code of an application that the kill took along, undefined of one that goes on: its launcher may wait 2 s for a sidecar. */
async function endedWith(stage: SurvivorStage, pod: Pod): Promise<number | undefined> {
  const greetings = () => pod.logLines(application).filter(({ text }) => text === 'greetings').length
  const before = greetings()
  // Steps may still be on their way that were printed before the kill. It greets only after it: twice, since each step needs its child.
  stage.tell('greet')
  const { code } = await poll(
    `${pod.name} to go on or to end`,
    deadlineMs,
    () => {
      if (!pod.container(application).running) return { code: exitCodeOf(pod) }
      return greetings() > before + 1 ? { code: undefined } : undefined
    },
    () => pod.describe(),
  )
  stage.takeBack('greet')
  if (code === undefined) await greetsNoMore(pod)
  return code
}

/** @returns the exit code of one that does not: what a killed CRIU has left in it may end it only after a while */
async function livesOn(stage: SurvivorStage, pod: Pod, kept: Kept): Promise<number | undefined> {
  const alive = requireAlive(stage, pod, kept).then(() => waitForState(pod, 'running'))
  alive.catch(() => undefined)
  for (;;) {
    if (await Promise.race([alive, sleep(20, false)])) return undefined
    if (!pod.container(application).running) return exitCodeOf(pod)
  }
}

/** A greeting that is still on its way would pass for one after the next kill. */
function greetsNoMore(pod: Pod): Promise<true> {
  const words = () => pod.logLines(application).map(({ text }) => text).filter((text) => /^(?:step \d+|greetings)$/.test(text)) // prettier-ignore
  return poll(
    `${pod.name} to greet no more`,
    deadlineMs,
    // Between any two steps of a time in which it greets there is a greeting.
    () => (words().slice(-2).includes('greetings') ? undefined : true),
    () => pod.describe(),
  )
}

/** @returns what became of the checkpoint */
async function killedOnce(
  pod: Pod,
  killing: Killing,
  wholeMs: number,
  share: number,
  kept: Kept,
): Promise<string> {
  let over = false
  const asked = checkpoint(pod)
    .catch(() => ({ outcome: 'unanswered', id: undefined }))
    .finally(() => (over = true))
  const overMs = await killing.from(pod, wholeMs, () => over)
  await sleep(share * overMs)
  killing.kill(pod)
  const { outcome, id } = await asked
  if (outcome === 'taken') kept.taken = id
  return outcome
}

/** A later checkpoint works, leaves nothing behind, and a new pod goes on from it. */
async function goesOnElsewhere(t: Test, stage: SurvivorStage, last: Pod): Promise<void> {
  await sidecarNode(last)
  let pod = last
  let { outcome, id: later } = await checkpoint(last).catch(() => ({ outcome: 'unanswered', id: undefined }))
  // The last kill may take it along as late as in this dump.
  if (outcome !== 'taken' && deathsByCriu.has(await endedWith(stage, last))) {
    pod = await runSurvivor(stage, large)
    later = await mustCheckpoint(pod)
    outcome = 'taken'
  }
  t.equal(outcome, 'taken')
  const atLeast = lastStep(pod)
  t.equal(await requireStore(stage, { taken: later, held: 0 }), later)
  await poll('an empty staging folder', deadlineMs, () =>
    staged(pod).every((name) => !/\.(dump|work)/.test(name)) ? true : undefined,
  )
  await requireThawed(pod)
  await pod.crash()
  const next = await runSurvivor(stage, large)
  t.equal(await restoredFrom(next, later), later)
  const first = stepsOf(next)[0]?.step ?? 0
  t.ok(first > 1 && first <= atLeast + 1, `it went on at step ${first}`)
}
