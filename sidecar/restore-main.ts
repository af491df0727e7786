/**
 * The restore init container: installs the tools, brings the newest valid checkpoint of each container. It never fails the pod:
 * what it could not do the sidecar tries again, or the application starts from its beginning.
 */
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { describeError } from '../src/errors.ts'
import { createLog, type Log } from '../src/log.ts'
import { serializeManifest } from '../src/manifest-codec.ts'
import { markCheckpoint } from './lineage/checkpoint-mark.ts'
import {
  busyMark,
  claimOf,
  fetchCheckpoint,
  fetchedMark,
  findCandidates,
  lineageBusy,
} from './restore/preparation.ts'
import { readSurroundings, type Surroundings } from './setup/surroundings.ts'
import { installTools } from './setup/tools.ts'
import type { ContainerPlan } from '../src/pod-plan.ts'

/** The whole of it; a checkpoint that cannot be fetched in this time is fetched no faster by waiting longer. */
const deadlineMs = 600_000

const log = createLog('restore')
try {
  const { launcher, missing } = await installTools()
  if (missing.length > 0) log.error({ missing }, 'tools are missing from the image: the pod runs unprotected')
  const around = readSurroundings(process.env, log)
  log.info({ launcher }, 'the tools were installed')
  const signal = AbortSignal.timeout(deadlineMs)
  for (const plan of around.podPlan.containers) await bringNewest(around, plan, signal)
} catch (error) {
  log.error({ err: error }, 'the restore init container failed: the pod goes on without it')
}

async function bringNewest(around: Surroundings, plan: ContainerPlan, signal: AbortSignal): Promise<void> {
  const bound = around.log.child({ container: plan.name })
  const claim = claimOf(around, plan)
  const turn = await claim.await(signal)
  if (turn.outcome === 'busy') {
    await writeFile(busyMark(plan.name), turn.holder)
    return bound.warn(lineageBusy(turn.holder), 'no checkpoint was fetched')
  }
  try {
    await fetchNewest(around, plan, bound, signal)
  } finally {
    claim.release()
  }
}

async function fetchNewest(
  around: Surroundings,
  plan: ContainerPlan,
  bound: Log,
  signal: AbortSignal,
): Promise<void> {
  const { candidates, rejected } = await findCandidates(around, plan, signal)
  for (const rejection of rejected) bound.warn(rejection, 'a checkpoint was passed over')
  for (const manifest of candidates) {
    try {
      const began = performance.now()
      const folder = await fetchCheckpoint(around, manifest, signal)
      const mark = `${folder}.${fetchedMark}`
      await mkdir(folder, { recursive: true })
      await writeFile(`${mark}.draft`, serializeManifest(manifest))
      await rename(`${mark}.draft`, mark)
      await markCheckpoint(plan.name, manifest.id, bound)
      const ms = Math.round(performance.now() - began)
      return bound.info(
        { checkpoint: manifest.id, totalBytes: manifest.totalBytes, ms },
        'a checkpoint was fetched and verified',
      )
    } catch (error) {
      bound.error(
        { checkpoint: manifest.id, reason: describeError(error) },
        'a checkpoint was passed over: it is not whole',
      )
    }
  }
  bound.info('there is no checkpoint to go on from')
}
