/**
 * Real programs, side by side in one pod, for three generations: the pod is evicted, and its replacement restored, twice. Each program is
 * asked by its own check how far it has come, before and after.
 */
import { poll, sleep } from '../../harness/deadline.ts'
import type { Pod } from '../../harness/pod.ts'
import { podOf, sidecarEntries, type Stage } from '../support.ts'
import type { RealProgram } from './program.ts'

export type Outcome =
  | { outcome: 'goes-on' }
  /** No checkpoint was taken, for this reason. */
  | { outcome: 'refused'; reason: string }
  /** A checkpoint was taken, and the program is not what it was. */
  | { outcome: 'lost'; how: string }

const generations = 3
/** How far a program comes in each generation. */
const furtherBy = 3
/** For the start of ten servers at once on a busy machine, and for one that counts by the minute. */
const startMs = 240_000
const onceMs = 60_000
const askEveryMs = 400

/** @returns what became of each, by its name */
export async function runGenerations(
  stage: Stage,
  programs: readonly RealProgram[],
): Promise<Map<string, Outcome>> {
  const outcomes = new Map<string, Outcome>()
  const reached = new Map<string, number>()
  let left = programs
  for (let generation = 1; generation <= generations && left.length > 0; generation++) {
    const pod = await stage.run(podWith(programs), { configMaps: { programs: filesOf(programs) } })
    await Promise.all(
      left.map(async (program) => {
        const outcome = await come(pod, program, reached, generation)
        if (outcome !== undefined) outcomes.set(program.name, outcome)
      }),
    )
    left = left.filter(({ name }) => !outcomes.has(name))
    if (generation === generations) await pod.delete({ gracePeriodSeconds: 0 })
    else await pod.evict()
    if (generation === generations) break
    for (const { name } of left) {
      const reason = refusalOf(pod, name)
      if (reason !== undefined) outcomes.set(name, { outcome: 'refused', reason })
    }
    left = left.filter(({ name }) => !outcomes.has(name))
  }
  for (const { name } of left) outcomes.set(name, { outcome: 'goes-on' })
  return outcomes
}

/** Waits until a program is where it was and has come further. @returns what is wrong with it otherwise */
async function come(
  pod: Pod,
  program: RealProgram,
  reached: Map<string, number>,
  generation: number,
): Promise<Outcome | undefined> {
  const { name } = program
  const lost = (how: string): Outcome => ({ outcome: 'lost', how: `generation ${generation}: ${how}` })
  let first: number | undefined
  let said = ''
  try {
    await poll(
      `${name} to come further`,
      startMs,
      async () => {
        await sleep(askEveryMs)
        const { state } = pod.container(name)
        if (state.kind === 'terminated') return true
        if (state.kind !== 'running' || !hasBegun(pod, name)) return undefined
        const checked = await pod.exec(name, ['sh', '-c', program.check], { deadlineMs: onceMs })
        said = `${checked.stdout}${checked.stderr}`.trim()
        const number = checked.code === 0 ? Number.parseInt(checked.stdout.trim(), 10) : Number.NaN
        if (Number.isNaN(number)) return undefined
        first ??= number
        return number >= Math.max(first, reached.get(name) ?? 0) + furtherBy ? true : undefined
      },
      () => said,
    )
  } catch (error) {
    return lost(`its check: ${said === '' ? String(error) : said}`)
  }
  if (pod.container(name).state.kind === 'terminated') return lost(`it ended: ${pod.logs(name).slice(-500)}`)
  const before = reached.get(name)
  if (before !== undefined) {
    const entries = sidecarEntries(pod).filter(({ container }) => container === name)
    const failed = JSON.stringify(entries.find(({ event }) => event === 'restore.failed'))
    if (!entries.some(({ event }) => event === 'restore.completed'))
      return lost(`it started afresh: ${failed}`)
    if ((first ?? 0) < before) return lost(`it was at ${before}, and is at ${first}: ${failed}`)
  }
  const last = await pod.exec(name, ['sh', '-c', program.check], { deadlineMs: onceMs })
  reached.set(name, Number.parseInt(last.stdout.trim(), 10) || (first ?? 0))
  return undefined
}

/** Before, a check would look at files that are just being restored: SQLite merges a journal that it finds. */
function hasBegun(pod: Pod, name: string): boolean {
  const began = sidecarEntries(pod).some(
    ({ event, container }) =>
      container === name && (event === 'restore.completed' || event === 'application.started_afresh'),
  )
  return began || /starting the application without it/.test(pod.logs(name))
}

/** The first reason is the program's own: later tries may be cut short. */
function refusalOf(pod: Pod, name: string): string | undefined {
  const entries = sidecarEntries(pod).filter(({ container }) => container === name)
  if (entries.some(({ event, ended }) => event === 'checkpoint.taken' && ended === true)) return undefined
  const failed = entries.find(({ event }) => event === 'checkpoint.failed')
  const said = (failed?.err as { message?: string } | undefined)?.message
  return said ?? `no checkpoint was asked for: ${JSON.stringify(entries.slice(-2).map(({ msg }) => msg))}`
}

function podWith(programs: readonly RealProgram[]) {
  const pod = podOf({
    annotations: { containers: programs.map(({ name }) => name).join(',') },
    spec: { volumes: [{ name: 'program', configMap: { name: 'programs' } }] },
  })
  const containers = programs.map(({ name, command }) => ({
    name,
    image: 'app',
    command,
    volumeMounts: [{ name: 'program', mountPath: '/program' }],
  }))
  return { ...pod, spec: { ...pod.spec, containers } }
}

function filesOf(programs: readonly RealProgram[]): Record<string, string> {
  return Object.assign({}, ...programs.map(({ files }) => files ?? {})) as Record<string, string>
}
