/** The nodes of a lineage's pods have clocks that differ: what was done later counts as later. */
import { join } from 'node:path'
import t from 'tap'
import { makeCheckpointId } from '../../src/checkpoint-id.ts'
import { poll } from '../harness/deadline.ts'
import { deadlineMs } from './support.ts'
import {
  goesOn,
  mustCheckpoint,
  openSurvivorStage,
  restoredFrom,
  runSurvivor,
  stepsOf,
  type SurvivorStage,
} from './survivor.ts'

const options = { mebibytes: 8, annotations: { keep: '1' } }

/** The only checkpoint there is, as it would be if the clock of its node had been ahead by an hour. */
async function asOfAnHourAhead(stage: SurvivorStage): Promise<string> {
  const [manifest] = await stage.manifests()
  if (manifest === undefined) throw new Error('no checkpoint is listed')
  const { version: _, files: __, totalBytes: ___, ...draft } = manifest
  const [folder, signal] = [join(stage.folder, 'ahead'), AbortSignal.timeout(deadlineMs)]
  await stage.store.fetch(manifest, folder, signal)
  await stage.store.epochs.take(manifest.slot, { pod: 'test', uid: 'test', node: '' }, signal)
  await stage.store.removeBefore(manifest.slot, new Date().toISOString(), signal)
  const instant = new Date(Date.now() + 3_600_000)
  const id = makeCheckpointId(instant)
  await stage.store.put({ ...draft, id, createdAt: instant.toISOString() }, folder, signal)
  await stage.store.epochs.leave(manifest.slot, signal)
  return id
}

t.test('work goes on from what was done last, and ends, on a node whose clock is behind', async (t) => {
  const stage = await openSurvivorStage(t)
  const first = await runSurvivor(stage, options)
  await mustCheckpoint(first)
  await first.crash()
  const ahead = await asOfAnHourAhead(stage)

  const behind = await runSurvivor(stage, options)
  t.equal(await restoredFrom(behind, ahead), ahead)
  const later = await mustCheckpoint(behind)
  await poll('the older one to be pruned', deadlineMs, async () => {
    const ids = (await stage.manifests()).map(({ id }) => id)
    return ids.length === 1 ? ids : undefined
  }).then((ids) => t.same(ids, [later], 'the one that is kept is the one that was taken'))
  await behind.crash()

  const next = await runSurvivor(stage, options)
  t.equal(await restoredFrom(next, later), later)
  stage.tell('exit-0')
  t.match(await next.waitUntilEnded(deadlineMs), { phase: 'Succeeded' })
  stage.takeBack('exit-0')
  t.same(await stage.manifests(), [], 'finished work leaves none')

  const anew = await runSurvivor(stage, options)
  t.equal(stepsOf(anew)[0]?.step, 1)
  const own = await mustCheckpoint(anew)
  await goesOn(anew)
  await anew.crash()
  const last = await runSurvivor(stage, options)
  t.equal(await restoredFrom(last, own), own, 'new work is not taken for finished')
})
