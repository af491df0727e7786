/**
 * How long a replacement waits for its state: from the launcher's first word, when its container stands, to the program's
 * first new line, over a bare `criu restore` of the same images, from its start to the program's first new line.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseManifest } from '../src/manifest-codec.ts'
import { storeMountPath } from '../webhook/image-paths.ts'
import type { Pod } from '../test/harness/pod.ts'
import { bareRestore } from './lib/bare-criu.ts'
import { beatsIn, median } from './lib/beats.ts'
import { report, requireMemory, round, say, settle, type Result } from './lib/report.ts'
import { entryWhere, launcherWaits, phasesOf, hasEvent, timeOf } from './lib/sidecar-log.ts'
import { application, askControl, sidecar, Stage } from './lib/stage.ts'

const mebibytes = 1024
const rounds = 7
const limits = { restore_1GiB: 1.25 }
const key = 'restore'

await report(limits, async (): Promise<Result> => {
  requireMemory(5 * mebibytes, 'restoring 1 GiB beside its images')
  const stage = await Stage.open()
  try {
    const held = await stage.runToFirstBeat(key, mebibytes)
    const { images, manifest } = await checkpointOf(held, stage)
    const ours: number[] = []
    const bare: number[] = []
    let phases: unknown
    for (let round = 0; round <= rounds; round++) {
      await settle(2 * mebibytes)
      const replacement = await restoreInPod(stage)
      await settle(2 * mebibytes)
      const { startedAtMs, line } = await bareRestore(held, manifest, images)
      const peer = (beatsIn([{ text: line }])[0]?.timeMs ?? Number.NaN) - startedAtMs
      say(`round ${round}: ${replacement.ms.toFixed(0)} ms, bare CRIU ${peer.toFixed(0)} ms`)
      if (round > 0) ours.push(replacement.ms)
      if (round > 0) bare.push(peer)
      phases = replacement.phases
    }
    return {
      bench: 'restore',
      ratios: { restore_1GiB: round(median(ours) / median(bare)) },
      figures: {
        toFirstLineMs: { ours: ours.map(round), bareCriu: bare.map(round) },
        medianMs: { ours: round(median(ours)), bareCriu: round(median(bare)) },
        lastPhasesMs: phases,
      },
    }
  } finally {
    await stage.close()
  }
})

/** Ends the application with a checkpoint; its launcher holds the container open. */
async function checkpointOf(pod: Pod, stage: Stage) {
  const outcome = (await askControl(pod, { afterwards: 'end' }))[application]
  if (outcome?.outcome !== 'taken' || outcome.id === undefined)
    throw new Error(`no checkpoint: ${JSON.stringify(outcome)}\n${pod.describe()}`)
  const { lineage } = entryWhere(pod, sidecar, hasEvent('checkpoint.taken'))
  const folder = `${String(lineage).replaceAll('/', '+')}/${application}/${outcome.id}`
  const manifest = parseManifest(readFileSync(join(stage.folder, 'store', folder, 'manifest.json')))
  return { manifest, images: `${storeMountPath}/${folder}/files/criu` }
}

async function restoreInPod(stage: Stage) {
  const pod = await stage.runToFirstBeat(key, mebibytes, { debug: true })
  const first = beatsIn(pod.logLines(application))[0]
  if (first === undefined || first.number === 1) throw new Error(`it began anew\n${pod.describe()}`)
  const heard = entryWhere(pod, sidecar, launcherWaits)
  await pod.waitForLog(sidecar, /went on from its checkpoint/)
  const phases = phasesOf(entryWhere(pod, sidecar, hasEvent('restore.completed')))
  await pod.crash()
  return { ms: first.timeMs - timeOf(heard), phases }
}
