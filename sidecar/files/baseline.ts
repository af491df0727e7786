/**
 * What the container's tree held before the application's first instruction: the names, so that deletions can be told,
 * and the instant, so that changes can (their ctime is later; no program can set a ctime).
 */
import { open, readFile, rename, writeFile } from 'node:fs/promises'
import type { EventLog } from '../../src/log.ts'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import { mustRun } from '../proc/command.ts'
import { enterArgv, toolArgv } from '../setup/tools.ts'
import { requireWhole, walkArguments } from './find.ts'
import { readEphemeralRoots } from './mounts.ts'

export type Baseline = {
  /** Milliseconds since the epoch. Whatever has a later ctime has changed. */
  instantMs: number
  /** File with the NUL-separated absolute paths of everything; undefined when it could not be taken. */
  names: string | undefined
}

/** ctime is stamped from the coarse clock, which lags by up to one tick (4 ms at 250 Hz); ten times that is taken off. */
const coarseClockLagMs = 40

/**
 * Takes the baseline of the container whose launcher is `pid` into `folder`. Deadline 20 s: a walk of a million files
 * takes 2–5 s; one that takes longer holds up the application more than knowing its deletions is worth.
 */
export async function takeBaseline(
  pid: number,
  plan: ContainerPlan,
  folder: string,
  log: EventLog,
): Promise<Baseline> {
  const instantMs = Date.now() - coarseClockLagMs
  const names = `${folder}/baseline.names`
  const walk = await readEphemeralRoots(pid, plan)
  let baseline: Baseline = { instantMs, names: undefined }
  try {
    if (walk.roots.length > 0) {
      const file = await open(`${names}.draft`, 'w', 0o600)
      try {
        const argv = enterArgv(pid, ...toolArgv('find', ...walkArguments(walk, '-print0')))
        const run = { log, deadlineMs: 20_000, okCodes: [0, 1] }
        const { stderr } = await mustRun(argv, { ...run, stdio: ['ignore', file.fd, 'pipe'] })
        requireWhole(stderr, true)
      } finally {
        await file.close()
      }
      await rename(`${names}.draft`, names)
      baseline = { instantMs, names }
    }
  } catch (error) {
    log.warn(
      { event: 'files.unlisted', err: error },
      'listing the container failed: files that the application deletes will be back after a restore',
    )
  }
  await writeFile(`${folder}/baseline.json.draft`, JSON.stringify(baseline))
  await rename(`${folder}/baseline.json.draft`, `${folder}/baseline.json`)
  return baseline
}

/** The baseline that an earlier life of the sidecar took, if any. */
export async function readBaseline(folder: string): Promise<Baseline | undefined> {
  const text = await readFile(`${folder}/baseline.json`, 'utf8').catch(() => undefined)
  return text === undefined ? undefined : (JSON.parse(text) as Baseline)
}
