/** Which checkpoints may be restored here, in which order, and why not the others. Pure. */
import type { CheckpointManifest, SlotRecord } from './manifest.ts'
import { earlyDeathsOf } from './slot-record.ts'

/** A checkpoint from which the application died early this often is not tried again. */
export const mostEarlyDeaths = 2

export type Environment = { fingerprint: string; architecture: string }

export const rejectionReasons = {
  'restore-never': {
    meaning: 'the pod asks for no restore',
    remedy: 'Remove `reprieve.dev/restore: never` to continue from checkpoints.',
  },
  'not-asked-for': {
    meaning: 'the pod asks for another checkpoint',
    remedy: '`reprieve.dev/restore: latest` takes the newest.',
  },
  'not-found': {
    meaning: 'the pod asks for a checkpoint that the store does not have',
    remedy:
      "It was removed (`reprieve.dev/keep`), belongs to another lineage, or lies in another node's hostPath store.",
  },
  finished: {
    meaning: 'the application has ended with status 0 since',
    remedy: 'Nothing to do: finished work is not restored, and a new run begins from its beginning.',
  },
  'unfit-architecture': {
    meaning: 'the checkpoint is of another CPU architecture',
    remedy: 'Schedule the workload on nodes of one architecture.',
  },
  'unfit-fingerprint': {
    meaning: 'image, command, arguments or mounts differ',
    remedy: 'Roll back to continue from it; otherwise Reprieve removes it in time.',
  },
  'died-early': {
    meaning: 'the application twice died within a minute of a restore from it, or in it',
    remedy:
      "`detail` has the exit code: look at the application's log, often for a stale address or token in memory. `killed in the restore` most often means that the checkpoint does not fit into the container's memory limit: raise the limit, and remove `record.json` from the slot to try it again.",
  },
} as const satisfies Record<string, { meaning: string; remedy: string }>

export type RejectionReason = keyof typeof rejectionReasons

export type Rejection = { id: string; reason: RejectionReason; detail: string }
export type RestoreChoice = { candidates: CheckpointManifest[]; rejected: Rejection[] }

/**
 * @param manifests of one slot, newest first; the candidates keep their order: try the first, fall back to the next
 * @param mode `latest`, `never`, or a checkpoint's id. An asked id must still fit and not have failed: the annotation
 *   outlives the pod, so a checkpoint that kills would be tried for ever.
 */
export function chooseCheckpoints(
  manifests: readonly CheckpointManifest[],
  record: SlotRecord,
  environment: Environment,
  mode: string,
): RestoreChoice {
  const choice: RestoreChoice = { candidates: [], rejected: [] }
  for (const manifest of manifests) {
    const rejection = rejectionOf(manifest, record, environment, mode)
    if (rejection === undefined) choice.candidates.push(manifest)
    else choice.rejected.push({ id: manifest.id, ...rejection })
  }
  if (mode !== 'latest' && mode !== 'never' && !manifests.some((manifest) => manifest.id === mode)) {
    choice.rejected.push({
      id: mode,
      reason: 'not-found',
      detail: 'the store has no readable checkpoint of this id',
    })
  }
  return choice
}

function rejectionOf(
  { id, createdAt, fits }: CheckpointManifest,
  record: SlotRecord,
  here: Environment,
  mode: string,
): Omit<Rejection, 'id'> | undefined {
  if (mode === 'never') return { reason: 'restore-never', detail: 'the pod asks for no restore' }
  if (mode !== 'latest' && id !== mode) return { reason: 'not-asked-for', detail: `the pod asks for ${mode}` }
  if (record.finishedAt !== undefined && Date.parse(createdAt) <= Date.parse(record.finishedAt)) {
    return { reason: 'finished', detail: `the application ended with status 0 at ${record.finishedAt}` }
  }
  if (fits.architecture !== here.architecture) {
    return {
      reason: 'unfit-architecture',
      detail: `made on ${fits.architecture}, this is ${here.architecture}`,
    }
  }
  if (fits.fingerprint !== here.fingerprint) {
    const detail = `made of ${fits.fingerprint}, this is ${here.fingerprint}: image, command, arguments or mounts changed`
    return { reason: 'unfit-fingerprint', detail }
  }
  const deaths = earlyDeathsOf(record, id)
  if (deaths < mostEarlyDeaths) return undefined
  const last = record.trials[id]?.lastReason ?? ''
  return {
    reason: 'died-early',
    detail: `the application died early from it ${deaths} times, at last: ${last}`,
  }
}
