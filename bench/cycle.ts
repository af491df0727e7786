/**
 * A whole life and death at 1 GiB: from preStop to the replacement's first new line, the checkpoint stored durably and verified
 * in between, each part's time told; over podman's checkpoint --export and restore --import of the same program, with its own
 * compression and with none, which neither syncs nor verifies, and starts no pod. Ours is given the whole of what a user waits for, pod start and all.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Pod } from '../test/harness/pod.ts'
import { beatsIn, median } from './lib/beats.ts'
import { Podman } from './lib/podman.ts'
import { report, requireMemory, round, say, settle, type Result } from './lib/report.ts'
import { entryWhere, launcherWaits, phasesOf, hasEvent, timeOf } from './lib/sidecar-log.ts'
import { application, restorer, sidecar, Stage } from './lib/stage.ts'

const mebibytes = 1024
const rounds = 5
const key = 'cycle'

await report({ cycle_vs_podman: 0.5, cycle_vs_podman_uncompressed: 0.8 }, async (): Promise<Result> => {
  requireMemory(8 * mebibytes, 'cycles of 1 GiB')
  const stage = await Stage.open()
  const folder = join(stage.folder, 'podman')
  mkdirSync(folder)
  const podman = await Podman.open(folder).catch(async (error: unknown) => {
    await stage.close()
    throw error
  })
  try {
    const [ours, plain, uncompressed]: [Parts[], Parts[], Parts[]] = [[], [], []]
    let pod = await stage.runToFirstBeat(key, mebibytes, { debug: true })
    // The first round warms both up.
    for (let round = 0; round <= rounds; round++) {
      await settle(3 * mebibytes)
      const cycle = await cycleOfPod(stage, pod)
      pod = cycle.replacement
      const byPodman = await cycleOfPodman(podman)
      const withoutCompression = await cycleOfPodman(podman, 'none')
      say(
        `round ${round}: ${cycle.parts.whole?.toFixed(0)} ms, podman ${byPodman.whole?.toFixed(0)} ms, uncompressed ${withoutCompression.whole?.toFixed(0)} ms`,
      )
      if (round === 0) continue
      ours.push(cycle.parts)
      plain.push(byPodman)
      uncompressed.push(withoutCompression)
    }
    const [mine, theirs, theirsPlain] = [medians(ours), medians(plain), medians(uncompressed)]
    const over = (peer: Parts) => round((mine.whole ?? Number.NaN) / (peer.whole ?? Number.NaN))
    return {
      bench: 'cycle',
      ratios: {
        cycle_vs_podman: over(theirs),
        cycle_vs_podman_uncompressed: over(theirsPlain),
      },
      figures: {
        medianMs: { ours: mine, podman: theirs, podmanUncompressed: theirsPlain },
        wholeMs: {
          ours: ours.map(({ whole }) => whole),
          podman: plain.map(({ whole }) => whole),
          podmanUncompressed: uncompressed.map(({ whole }) => whole),
        },
        mebibytes,
        peer: await podman.versions(),
        peerCompression: 'zstd (its default) of random bytes, and none',
      },
    }
  } finally {
    await podman.close()
    await stage.close()
  }
})

/** Milliseconds by the name of what they were spent on. */
type Parts = Record<string, number>

async function cycleOfPod(stage: Stage, pod: Pod): Promise<{ replacement: Pod; parts: Parts }> {
  const preStop = Date.now()
  await pod.evict()
  const gone = Date.now()
  const taken = entryWhere(pod, sidecar, hasEvent('checkpoint.taken'))
  const checkpoint = phasesOf(taken)

  const replacement = await stage.runToFirstBeat(key, mebibytes, { debug: true })
  const first = beatsIn(replacement.logLines(application))[0]
  if (first === undefined || first.number === 1) throw new Error(`it began anew\n${replacement.describe()}`)
  await replacement.waitForLog(sidecar, /went on from its checkpoint/)
  const fetched = entryWhere(replacement, restorer, hasEvent('restore.fetched'))
  const waiting = timeOf(entryWhere(replacement, sidecar, launcherWaits))
  const restored = phasesOf(entryWhere(replacement, sidecar, hasEvent('restore.completed')))
  const fetch = Number(fetched.ms)
  const parts = {
    whole: first.timeMs - preStop,
    // One after the other, these make the whole.
    untilCheckpoint: timeOf(taken) - (checkpoint.total ?? 0) - preStop,
    checkpoint: checkpoint.total ?? 0,
    podEnd: gone - timeOf(taken),
    containerStarts: waiting - gone - fetch,
    readAndVerify: fetch,
    restore: first.timeMs - waiting,
    // Of the checkpoint; archive beside the dump, hash, write and sync beside each other.
    criuStart: checkpoint.start ?? 0,
    dump: checkpoint.dump ?? 0,
    store: (checkpoint.frozen ?? 0) - (checkpoint.dump ?? 0),
    frozen: checkpoint.frozen ?? 0,
    archive: checkpoint.archive ?? 0,
    hash: checkpoint.hash ?? 0,
    write: checkpoint.write ?? 0,
    sync: checkpoint.sync ?? 0,
    // Of the restore.
    unpack: restored.unpack ?? 0,
    criuRestore: restored.criu ?? 0,
  }
  return { replacement, parts }
}

async function cycleOfPodman(podman: Podman, compress?: string): Promise<Parts> {
  await podman.run(mebibytes)
  await settle(3 * mebibytes)
  const { exportMs, importMs } = await podman.cycle(compress)
  await podman.remove()
  return { whole: exportMs + importMs, exportMs, importMs }
}

function medians(all: readonly Parts[]): Parts {
  const names = Object.keys(all[0] ?? {})
  return Object.fromEntries(names.map((name) => [name, round(median(all.map((parts) => parts[name] ?? 0)))]))
}
