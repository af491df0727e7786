/** Which checkpoints may be restored here, in which order, and why not the others. Pure. */
import type { CheckpointManifest, SlotRecord } from './manifest.ts'
import type { RejectionReason } from './restore-reasons.ts'
import { earlyDeathsOf, hungReason, mostEarlyDeaths } from './slot-record.ts'
import { canBeOverridden, differencesOf, isNewOwner, namesOf, type OwnWork } from './work.ts'

export type Environment = OwnWork & { architecture: string }

export type Rejection = { id: string; reason: RejectionReason; detail: string }
export type RestoreChoice = {
  candidates: CheckpointManifest[]
  rejected: Rejection[]
  /** The newest checkpoint is of other work: the application starts from its beginning. */
  otherWork?: { newest: string; changed: string; canGoBack: boolean }
}

type Reason = Omit<Rejection, 'id'> | undefined
type Judge = (manifest: CheckpointManifest) => Reason

/**
 * @param manifests of one slot, newest first; the candidates keep their order: try the first, fall back to the next
 * @param mode `latest`, `never`, or a checkpoint's id. An asked id must still fit and not have failed: the annotation
 *   outlives the pod, so a checkpoint that kills would be tried for ever.
 */
export function chooseCheckpoints(
  manifests: readonly CheckpointManifest[],
  record: SlotRecord,
  here: Environment,
  mode: string,
): RestoreChoice {
  if (mode === 'never') return split(manifests, () => ({ reason: 'restore-never', detail: 'the pod asks for no restore' })) // prettier-ignore
  if (mode !== 'latest') return asked(manifests, record, here, mode)
  const choice = split(manifests, latestJudge(manifests, record, here))
  const [newest] = manifests
  const changed = newest === undefined ? [] : differencesOf(newest.fits, here)
  if (newest === undefined || changed.length === 0 || isFinished(newest, record)) return choice
  return {
    ...choice,
    otherWork: { newest: newest.id, changed: namesOf(changed), canGoBack: changed.every(canBeOverridden) },
  }
}

/** Only the newest generation, and nothing that is older than other work: a rollback does not resume what its revision did long ago. */
function latestJudge(manifests: readonly CheckpointManifest[], record: SlotRecord, here: Environment): Judge {
  const generation = manifests[0]?.generation?.id
  let passed: string | undefined
  return (manifest) => {
    const { id, fits } = manifest
    const finished = finishedReason(manifest, record)
    if (finished !== undefined) return finished
    const changed = differencesOf(fits, here)
    if (changed.length > 0) passed = id
    if (changed.length > 0) return otherWorkReason(id, changed)
    if (manifest.generation?.id !== generation) return leftReason(id, 'a younger generation has checkpoints')
    if (passed !== undefined)
      return leftReason(id, `checkpoint ${passed}, which is younger, is of other work`)
    const { left } = record
    if (left !== undefined && isBefore(manifest, left.at)) {
      const changes = `${left.changed} had changed at ${left.at}`
      return leftReason(id, `the work has begun from its beginning since: ${changes}`)
    }
    return ownReason(manifest, record, here)
  }
}

/** The asked checkpoint, and before it those of the generation that has gone on from it: the annotation outlives the pod. */
function asked(
  manifests: readonly CheckpointManifest[],
  record: SlotRecord,
  here: Environment,
  mode: string,
): RestoreChoice {
  const choice = split(manifests, (manifest) => {
    if (manifest.id !== mode && manifest.generation?.from !== mode)
      return { reason: 'not-asked-for', detail: `the pod asks for ${mode}` }
    const changed = differencesOf(manifest.fits, here)
    const firm = changed.filter((difference) => !canBeOverridden(difference))
    return (
      finishedReason(manifest, record) ??
      (firm.length > 0 ? { reason: 'unfit-fingerprint', detail: `${namesOf(firm)} changed: it cannot be restored into this pod` } : ownReason(manifest, record, here)) // prettier-ignore
    )
  })
  if (!manifests.some(({ id, generation }) => id === mode || generation?.from === mode))
    choice.rejected.push({
      id: mode,
      reason: 'not-found',
      detail: 'the store has no readable checkpoint of this id',
    })
  return choice
}

function split(manifests: readonly CheckpointManifest[], judge: Judge): RestoreChoice {
  const choice: RestoreChoice = { candidates: [], rejected: [] }
  for (const manifest of manifests) {
    const reason = judge(manifest)
    if (reason === undefined) choice.candidates.push(manifest)
    else choice.rejected.push({ id: manifest.id, ...reason })
  }
  return choice
}

function otherWorkReason(id: string, changed: string[]): Reason {
  const back = changed.every(canBeOverridden) ? `; reprieve.dev/restore: ${id} goes back to it` : ''
  return {
    reason: changed.some(isNewOwner) ? 'unfit-incarnation' : 'unfit-fingerprint',
    detail: `${namesOf(changed)} changed since${back}`,
  }
}

function leftReason(id: string, why: string): Reason {
  return { reason: 'left-behind', detail: `${why}; reprieve.dev/restore: ${id} goes back to it` }
}

function isFinished(manifest: CheckpointManifest, record: SlotRecord): boolean {
  return record.finishedAt !== undefined && isBefore(manifest, record.finishedAt)
}

function finishedReason(manifest: CheckpointManifest, record: SlotRecord): Reason {
  return isFinished(manifest, record)
    ? { reason: 'finished', detail: `the application ended with status 0 at ${record.finishedAt}` }
    : undefined
}

function isBefore({ createdAt }: CheckpointManifest, instant: string): boolean {
  return Date.parse(createdAt) <= Date.parse(instant)
}

/** What the checkpoint itself is to blame for. */
function ownReason({ id, fits }: CheckpointManifest, record: SlotRecord, here: Environment): Reason {
  if (fits.architecture !== here.architecture) {
    return {
      reason: 'unfit-architecture',
      detail: `made on ${fits.architecture}, this is ${here.architecture}`,
    }
  }
  const deaths = earlyDeathsOf(record, id)
  if (deaths < mostEarlyDeaths) return undefined
  const last = record.trials[id]?.lastReason ?? ''
  if (last === hungReason) return { reason: 'died-early', detail: hungReason }
  return {
    reason: 'died-early',
    detail: `the application died early from it ${deaths} times, at last: ${last}`,
  }
}
