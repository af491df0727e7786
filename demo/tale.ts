/** The story itself, act by act: each does one thing to real containers, and tells what was measured. */
import type { Slot } from '../src/manifest.ts'
import type { Pod } from '../test/harness/pod.ts'
import { admit, named, newPod, withoutAnnotation } from './api-server.ts'
import { podDiff } from './pod-diff.ts'
import {
  checkpointsIn,
  entryOf,
  phasesOf,
  restorerName,
  sidecarName,
  restoredOf,
  type Phases,
} from './sidecar-words.ts'
import type { Stage } from './stage.ts'
import { compareRuns, finalDigest, stepsOf, type Comparison } from './steps.ts'
import { inWords, type Story } from './story.ts'
import { serviceName } from './webhook-process.ts'

const application = 'trainer'
const stepDeadlineMs = 60_000
const endDeadlineMs = 180_000

export type Result = { workload: string } & Comparison & {
    frozenMs: number
    dumpBytes: number
    restoreMs: number
    /** Every part's time: of the checkpoint, and of the way back. */
    phases: { checkpoint: Phases; restore: Phases }
  }

type Saved = { id: string; slot: Slot; dumpBytes: number; phases: Phases }
type WentOn = { pod: Pod; phases: Phases }

export async function tell(story: Story, stage: Stage): Promise<Result> {
  const { workload } = stage
  story.chapter('The cluster’s side')
  story.say(`Reprieve’s webhook listens on https://127.0.0.1:${stage.webhook.port} as ${serviceName}.`)
  story.say('Its certificate was made a moment ago, by an authority of its own.')
  const undisturbed = await stage.run(named(withoutAnnotation(newPod(workload))))

  const first = await create(story, stage)
  await watch(story, first, workload.evictAfter)
  const saved = await evict(story, stage, first)
  const second = await replace(story, stage, first, saved)
  const comparison = await finish(story, stage, { first, second: second.pod, undisturbed })
  const left = await checkpointsIn(stage.storeFolder, saved.slot)
  story.say(
    left.length === 0
      ? 'The store has let go of its checkpoints: exit code 0 ends a lineage.'
      : `The store still has ${left.length} checkpoints of it.`,
  )
  return {
    workload: workload.name,
    ...comparison,
    frozenMs: saved.phases.frozenMs ?? 0,
    dumpBytes: saved.dumpBytes,
    restoreMs: second.phases.totalMs ?? 0,
    phases: { checkpoint: saved.phases, restore: second.phases },
  }
}

async function create(story: Story, stage: Stage): Promise<Pod> {
  story.chapter('A pod is created')
  story.say(
    'The Job controller asks the API server for a pod. Its owner wrote one line: reprieve.dev/checkpoint: "true".',
  )
  const pod = newPod(stage.workload)
  const { admitted, operations, tookMs } = await admit(pod, stage.webhook)
  story.say(
    `The API server asks the webhook, which answers in ${tookMs.toFixed(0)} ms with ${operations} operations:`,
  )
  story.diff(podDiff(pod, admitted))
  return stage.run(named(admitted))
}

/** Shows the first steps and the last ones before what comes. */
async function watch(story: Story, pod: Pod, until: number): Promise<void> {
  story.chapter('It works')
  for (const step of [1, 2, 3])
    await pod.waitForLog(application, stepLine(step), { deadlineMs: stepDeadlineMs })
  for (const { line } of stepsOf(pod.logLines(application)).slice(0, 3)) story.quote(pod.name, line)
  story.gap()
  await pod.waitForLog(application, stepLine(until), { deadlineMs: endDeadlineMs })
}

async function evict(story: Story, stage: Stage, pod: Pod): Promise<Saved> {
  story.chapter('The node runs out of memory')
  story.say(`The kubelet evicts ${pod.name}: preStop, then SIGTERM, then SIGKILL for whatever is left.`)
  const began = Date.now()
  const status = await pod.evict()
  const tookMs = Date.now() - began
  const last = stepsOf(pod.logLines(application)).at(-1)
  if (last !== undefined) story.quote(pod.name, last.line)
  const entry = entryOf(pod, sidecarName, 'a checkpoint was taken')
  const measured = phasesOf(entry)
  const phases = { ...measured, storeMs: Math.round((measured.frozenMs ?? 0) - (measured.dumpMs ?? 0)) }
  const [manifest] = await checkpointsIn(stage.storeFolder, {
    lineage: String(entry.lineage),
    container: application,
  })
  if (manifest === undefined) throw new Error('the store holds no checkpoint')
  const dumpBytes = manifest.files
    .filter(({ path }) => path.startsWith('criu/'))
    .reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  // CRIU writes one such image for each process that has memory.
  const processes = manifest.files.filter(({ path }) => /^criu\/mm-\d+\.img$/.test(path)).length
  const ms = inMs(phases)
  story.table([
    ['why', status.reason, status.message],
    ['died', pod.name, `${processes} processes, all at once, after step ${last?.step ?? 0}`],
    [
      'saved',
      inWords(manifest.totalBytes),
      `${inWords(dumpBytes)} of memory and processes, the rest are files they had changed`,
    ],
    [
      'kept as',
      manifest.slot.lineage,
      `${manifest.id}, ${manifest.files.length} files, each with its SHA-256`,
    ],
    ['dump', ms('dumpMs'), `CRIU wrote memory and ${manifest.process.pids.length} threads to local disk`],
    ['archive', ms('archiveMs'), 'changed files, /dev/shm, open files without a name; beside the dump'],
    [
      'store',
      ms('storeMs'),
      `hash ${ms('hashMs')}, write ${ms('writeMs')}, sync ${ms('syncMs')}, each summed over files side by side`,
    ],
    ['frozen', ms('frozenMs'), 'how long they stood still: until the checkpoint was whole in the store'],
    ['pod gone', `${tookMs} ms`, 'after the kubelet began'],
  ])
  return { id: manifest.id, slot: manifest.slot, dumpBytes, phases }
}

async function replace(story: Story, stage: Stage, dead: Pod, saved: Saved): Promise<WentOn> {
  const last = stepsOf(dead.logLines(application)).at(-1)
  const { admitted } = await admit(newPod(stage.workload), stage.webhook)
  const manifest = named(admitted)
  story.chapter(`${manifest.metadata.name} takes its place`)
  story.say(`The Job controller asks for another pod for index 0. ${serviceName} answers again.`)
  const began = Date.now()
  const pod = await stage.run(manifest)
  const line = await pod.waitForLog(application, /^step /, { deadlineMs: stepDeadlineMs })
  const fetched = entryOf(pod, restorerName, 'a checkpoint was fetched and verified')
  const { restoredFrom, restorePhases, residentBytes } = await restoredOf(pod)
  const phases: Phases = {
    fetchMs: phasesOf({ fetchMs: fetched.ms }).fetchMs ?? 0,
    ...restorePhases,
    podToFirstLineMs: Math.round(line.timeMs - began),
    awayMs: Math.round(line.timeMs - (last?.timeMs ?? 0)),
  }
  const ms = inMs(phases)
  story.table([
    [
      'from',
      restoredFrom,
      restoredFrom === saved.id ? 'the checkpoint that was just taken' : 'an older checkpoint',
    ],
    ['fetch', ms('fetchMs'), 'from the store, every byte compared with its SHA-256'],
    ['unpack', ms('unpackMs'), 'the files that had changed'],
    ['criu', ms('criuMs'), 'memory, processes, threads, pipes, shared memory'],
    ['restore', ms('totalMs'), 'in all, from the launcher’s question to the next instruction'],
    [
      'new line',
      ms('podToFirstLineMs'),
      'after its pod was created: sandbox, init containers, restore, the rest of a step',
    ],
    ['away', ms('awayMs'), 'from the last line of the one to the first line of the other'],
    ['sidecar', inWords(residentBytes), 'of memory, its own, just after the restore'],
  ])
  await pod.waitForLog(application, /^step /, { nth: 3, deadlineMs: stepDeadlineMs })
  const steps = stepsOf(pod.logLines(application)).slice(0, 3)
  story.say(`The last step before was ${last?.step ?? 0}. It went on at step ${steps[0]?.step ?? 0}:`)
  for (const step of steps) story.quote(pod.name, step.line)
  story.gap()
  return { pod, phases }
}

async function finish(
  story: Story,
  stage: Stage,
  { first, second, undisturbed }: Record<'first' | 'second' | 'undisturbed', Pod>,
): Promise<Comparison> {
  story.chapter('It finishes')
  const status = await second.waitUntilEnded(endDeadlineMs)
  for (const { text } of second.logLines(application).slice(-3)) story.quote(second.name, text)
  await undisturbed.waitUntilEnded(endDeadlineMs)
  const logs = [first, second, undisturbed].map((pod) => pod.logLines(application))
  const [before = [], after = [], whole = []] = logs
  const comparison = compareRuns(before, after, whole)
  const digests = [after, whole].map((lines) => finalDigest.exec(lines.at(-1)?.text ?? '')?.[1] ?? 'none')
  story.table([
    ['pod', status.phase, `exit code ${exitCodeOf(second)}`],
    ['died once', digests[0]?.slice(0, 16) ?? '', 'the SHA-256 of its weights at the end'],
    [
      'undisturbed',
      digests[1]?.slice(0, 16) ?? '',
      'the same program in a pod without the annotation, beside it, all the while',
    ],
    [
      'steps',
      String(stage.workload.steps),
      `${comparison.lostSteps} lost, ${comparison.repeatedSteps} repeated`,
    ],
  ])
  story.say(
    comparison.identicalResult
      ? 'Every line that it printed is the same, to the bit.'
      : 'What it printed is NOT the same.',
  )
  return comparison
}

function exitCodeOf(pod: Pod): number {
  const state = pod.container(application).state
  return state.kind === 'terminated' ? state.exitCode : -1
}

function inMs(phases: Phases): (name: string) => string {
  return (name) => `${Math.round(phases[name] ?? 0)} ms`
}

function stepLine(step: number): RegExp {
  return new RegExp(`^step ${step} `)
}
