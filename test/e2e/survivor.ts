/** What the tests of failures share: pods of test/programs/survivor.c, and what must hold of them whatever was done. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { CheckpointManifest } from '../../src/manifest.ts'
import { poll, sleep } from '../harness/deadline.ts'
import type { Pod } from '../harness/pod.ts'
import type { VolumeSources } from '../harness/volumes.ts'
import {
  application,
  askControl,
  deadlineMs,
  openStage,
  podOf,
  sidecar,
  sidecarEntries,
  statusOf,
  type PodOptions,
  type Stage,
  type StageOptions,
} from './support.ts'

/** Sees from outside, through a hostPath volume, to it that a program does what the test wants. */
const controlFolder = '/control'

export type SurvivorStage = Stage & {
  /** Files that the program looks for in each step (survivor.c). */
  tell(name: string): void
  takeBack(name: string): void
  survivor(options?: PodOptions & { mebibytes?: number; stepMs?: number }): ReturnType<typeof podOf>
}

export async function openSurvivorStage(t: Test, options: StageOptions = {}): Promise<SurvivorStage> {
  const stage = await openStage(t, { programs: ['survivor.c'], ...options })
  const control = join(stage.folder, 'control')
  mkdirSync(control)
  return {
    ...stage,
    tell: (name) => writeFileSync(join(control, name), ''),
    takeBack: (name) => rmSync(join(control, name)),
    survivor: ({ mebibytes = 32, stepMs = 20, spec, ...container } = {}) =>
      podOf({
        command: ['/app/survivor', String(mebibytes), String(stepMs), controlFolder],
        volumeMounts: [{ name: 'control', mountPath: controlFolder }],
        ...container,
        spec: {
          ...spec,
          volumes: [{ name: 'control', hostPath: { path: control } }, ...(spec?.volumes ?? [])],
        },
      }),
  }
}

/** A manual checkpoint of the application, which goes on. */
export async function checkpoint(
  pod: Pod,
  request: object = {},
): Promise<{ outcome: string; id?: string; reason?: string }> {
  const answer = (await askControl(pod, { container: application, deadlineMs, ...request }))[application]
  if (answer === undefined)
    throw new Error(`the sidecar did not answer for ${application}\n${pod.describe()}`)
  return answer
}

/** One that has to be taken. @returns its id */
export async function mustCheckpoint(pod: Pod, request: object = {}): Promise<string> {
  const { outcome, id, reason } = await checkpoint(pod, request)
  if (outcome !== 'taken' || id === undefined) throw new Error(`no checkpoint: ${reason}\n${pod.describe()}`)
  return id
}

/** The last step that was printed; 0 before the first. */
export function lastStep(pod: Pod): number {
  return stepsOf(pod).at(-1)?.step ?? 0
}

export function stepsOf(
  pod: Pod,
  container = application,
): { step: number; timeMs: number; attempt: number }[] {
  return pod.logLines(container).flatMap(({ text, timeMs, attempt }) => {
    const match = /^step (\d+)(?: |$)/.exec(text)
    return match === null ? [] : [{ step: Number(match[1]), timeMs, attempt }]
  })
}

/** How long a step takes that nothing comes upon: the median. */
export function usualStepMs(pod: Pod): number {
  const times = stepsOf(pod).map(({ timeMs }) => timeMs)
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0)).sort((a, b) => a - b) // prettier-ignore
  return gaps[Math.floor(gaps.length / 2)] ?? 0
}

/** Waits until the application prints steps again, or for the first time. */
export async function goesOn(pod: Pod, withinMs = deadlineMs): Promise<void> {
  const before = stepsOf(pod).length
  await poll(
    `further steps of ${pod.name}`,
    withinMs,
    () => (stepsOf(pod).length > before + 1 ? true : undefined),
    () => pod.describe(),
  )
}

/** Waits until the sidecar says so of the application. */
export function waitForState(pod: Pod, at: string): Promise<true> {
  return poll(
    `the sidecar of ${pod.name} to see the application ${at}`,
    deadlineMs,
    async () => {
      const status = await statusOf(pod).catch(() => undefined)
      return status?.containers[0]?.state.at === at ? true : undefined
    },
    () => pod.describe(),
  )
}

/** What the sidecar says the application came from. It says so a moment after the application went on: `expected` is waited for. */
export async function restoredFrom(
  pod: Pod,
  expected?: string,
  container = application,
): Promise<string | undefined> {
  const end = Date.now() + deadlineMs
  for (;;) {
    const { containers } = await statusOf(pod)
    const id = containers.find((one) => one.container === container)?.restoredFrom
    if (id === expected || Date.now() > end) return id
    await sleep(50)
  }
}

export async function rejectedBy(pod: Pod): Promise<{ id: string; reason: string; detail: string }[]> {
  return (await statusOf(pod)).containers[0]?.rejected ?? []
}

/** Waits for a line of the sidecar's log. */
export function waitForWord(
  pod: Pod,
  message: string,
  container = sidecar,
): Promise<Record<string, unknown>> {
  return poll(
    `"${message}" from ${container} of ${pod.name}`,
    deadlineMs,
    () => sidecarEntries(pod, container).find(({ msg }) => msg === message),
    () => pod.describe(),
  )
}

/** Host pids of the sidecar container's processes whose command line begins so: its node process, a CRIU. */
export function sidecarProcesses(pod: Pod, command: string): number[] {
  const own = pod.container(sidecar).running ? pod.container(sidecar).processes() : []
  return own.filter((pid) => readText(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').startsWith(command))
}

export const criuCommand = '/reprieve/lib/ld.so --library-path /reprieve/lib /reprieve/bin/criu'

/** The host's pid of the sidecar's node process, once there is one. */
export function sidecarNode(pod: Pod): Promise<number> {
  return poll(
    `the sidecar's process in ${pod.name}`,
    deadlineMs,
    () => sidecarProcesses(pod, '/usr/local/bin/node ')[0],
    () => pod.describe(),
  )
}

/** Processes of the application that stand still: stopped, or held by a tracer (proc(5), state T and t). */
export function frozenProcesses(pod: Pod): number[] {
  return pod
    .container(application)
    .processes()
    .filter((pid) => /^State:\s+[Tt] /m.test(readText(`/proc/${pid}/status`)))
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return '' // it has ended meanwhile
  }
}

/** Everything that the store lists, each byte of it compared with its manifest. @throws ReprieveError for a damaged one */
export async function verifiedManifests(
  stage: Stage,
  container = application,
): Promise<CheckpointManifest[]> {
  const manifests = await stage.manifests({ container })
  const target = join(stage.folder, 'verify')
  for (const manifest of manifests) {
    rmSync(target, { recursive: true, force: true })
    try {
      await stage.store.fetch(manifest, target, AbortSignal.timeout(deadlineMs))
    } catch (error) {
      // A sidecar that is started again removes the oldest, beyond those that are kept, at any time.
      if ((await stage.manifests({ container })).some(({ id }) => id === manifest.id)) throw error
    }
  }
  rmSync(target, { recursive: true, force: true })
  return manifests
}

/** Where in the application's log one life follows another it goes on at the next step; returns each place where it does not. */
export function gapsIn(pods: Pod[]): string[] {
  const steps = pods.flatMap((pod) => stepsOf(pod).map(({ step }) => step))
  return steps.flatMap((step, index) => {
    const before = steps[index - 1]
    return before === undefined || step === before + 1 ? [] : [`${before} → ${step}`]
  })
}

/** Runs a pod and waits until its application prints steps. */
export async function runSurvivor(
  stage: SurvivorStage,
  options: Parameters<SurvivorStage['survivor']>[0] = {},
  sources?: VolumeSources,
): Promise<Pod> {
  const pod = await stage.run(stage.survivor(options), sources)
  await goesOn(pod)
  return pod
}

/** SIGKILL to those that are still there. */
export function killIfThere(...pids: number[]): void {
  signalIfThere('SIGKILL', pids)
}

export function stopIfThere(...pids: number[]): void {
  signalIfThere('SIGSTOP', pids)
}

function signalIfThere(signal: NodeJS.Signals, pids: readonly number[]): void {
  for (const pid of pids)
    try {
      process.kill(pid, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
}
