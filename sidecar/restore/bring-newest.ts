/** What the restore init container does for one container: it waits its turn, fetches the newest checkpoint that fits, and verifies it. */
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { describeError } from '../../src/errors.ts'
import type { EventLog } from '../../src/log.ts'
import { serializeManifest } from '../../src/manifest-codec.ts'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import { markCheckpoint } from '../lineage/checkpoint-mark.ts'
import { clearEnded } from '../lineage/ended-note.ts'
import { mayPass } from '../../src/restore-reasons.ts'
import type { Surroundings } from '../setup/surroundings.ts'
import { fetchCheckpoint, fetchedMark } from './fetched.ts'
import { busyMark, lockOf, findCandidates, lineageBusy, turnOf } from './preparation.ts'
import { leaveBudget, RestoreBudget } from './restore-budget.ts'

export async function bringNewest(
  around: Surroundings,
  plan: ContainerPlan,
  { signal, budgetMs }: { signal: AbortSignal; budgetMs: number },
): Promise<void> {
  const bound = around.log.child({ container: plan.name })
  const lock = lockOf(around, plan)
  await clearEnded(plan.name)
  const untilMs = performance.now() + budgetMs
  // If the guard ends this program while another pod ends, the sidecar waits on, and has it all.
  await leaveBudget(plan.name, budgetMs)
  const whole = new RestoreBudget(budgetMs, signal, bound)
  let restMs = 0
  let budget = whole
  try {
    const turn = await turnOf(around, lock, { budget, signal })
    if (turn.outcome === 'busy' || turn.outcome === 'fenced') {
      // A wait that was cut short says nothing of the other pod, which may be about to end: the sidecar goes on with it.
      if (!signal.aborted) await writeFile(busyMark(plan.name), turn.holder)
      return bound.warn({ event: 'slot_lock.busy', ...lineageBusy(turn) }, 'no checkpoint was fetched')
    }
    const hereMs = Math.min(whole.leftMs, Math.max(0, untilMs - performance.now()))
    restMs = whole.leftMs - hereMs
    await leaveBudget(plan.name, restMs)
    budget = new RestoreBudget(hereMs, signal, bound)
    await fetchNewest(around, plan, bound, { signal, budget })
  } finally {
    lock.release()
    await leaveBudget(plan.name, restMs + budget.leftMs)
  }
}

async function fetchNewest(
  around: Surroundings,
  plan: ContainerPlan,
  bound: EventLog,
  { signal, budget }: { signal: AbortSignal; budget: RestoreBudget },
): Promise<void> {
  const { candidates, rejected } = await findCandidates(around, plan, { signal, budget })
  for (const rejection of rejected)
    bound.warn({ event: 'checkpoint.passed_over', ...rejection }, 'a checkpoint was passed over')
  for (const manifest of candidates) {
    try {
      const began = performance.now()
      const folder = await budget.retry(() => fetchCheckpoint(around, manifest, signal))
      const mark = `${folder}.${fetchedMark}`
      await mkdir(folder, { recursive: true })
      await writeFile(`${mark}.draft`, serializeManifest(manifest))
      await rename(`${mark}.draft`, mark)
      await markCheckpoint(plan.name, manifest.id, bound)
      const ms = Math.round(performance.now() - began)
      return bound.info(
        { event: 'restore.fetched', checkpoint: manifest.id, totalBytes: manifest.totalBytes, ms },
        'a checkpoint was fetched and verified',
      )
    } catch (error) {
      // The sidecar tries the same: an older one would cost the work in between.
      if (mayPass(error)) return
      bound.error(
        { event: 'restore.damaged', checkpoint: manifest.id, reason: describeError(error) },
        'a checkpoint was passed over: it is not whole',
      )
    }
  }
  bound.info({ event: 'restore.nothing_kept' }, 'there is no checkpoint to go on from')
}
