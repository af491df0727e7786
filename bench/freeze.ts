/**
 * How long the application stands still in a checkpoint after which it goes on, over a bare `criu dump --leave-running` of the
 * same tree; and in an image of many files, over the same program in an image of few. The program itself says so: the longest pause
 * in its own beat.
 */
import { beatsIn, median, standstillMs } from './lib/beats.ts'
import { bareDump, forgetBareDump } from './lib/bare-criu.ts'
import { report, requireMemory, round, say, settle, type Result } from './lib/report.ts'
import { application, askControl, Stage } from './lib/stage.ts'
import type { Pod } from '../test/harness/pod.ts'

const sizes = [
  { name: '256MiB', mebibytes: 256, rounds: 9 },
  { name: '1GiB', mebibytes: 1024, rounds: 7 },
  { name: '4GiB', mebibytes: 4096, rounds: 11 },
]
const images = { many: 400_000, few: 1_000 }
const withFiles = { mebibytes: 64, rounds: 7 }
const limits = { frozen_256MiB: 1.5, frozen_1GiB: 1.15, frozen_4GiB: 1.1, frozen_files: 1.2 }
/** Words of the command line choose sizes by name, or `files`. */
const only = process.argv.slice(2)
const isWanted = (name: string) => only.length === 0 || only.includes(name)

const wantedLimits = Object.fromEntries(
  Object.entries(limits).filter(([name]) => isWanted(name.replace('frozen_', ''))),
)

await report(wantedLimits, async (): Promise<Result> => {
  const stage = await Stage.open(isWanted('files') ? images : {})
  try {
    const [ratios, figures]: [Record<string, number>, Record<string, unknown>] = [{}, {}]
    for (const { name, mebibytes, rounds } of sizes.filter((size) => isWanted(size.name))) {
      // The program, and each side's images in the page cache, of which the checkpoint's lie there twice for a while.
      requireMemory(3 * mebibytes + 1024, `a checkpoint of ${name}`)
      const { ours, bare, phases } = await measure(stage, name.toLowerCase(), mebibytes, rounds)
      ratios[`frozen_${name}`] = round(median(ours) / median(bare))
      figures[name] = {
        frozenMs: { ours: ours.map(round), bareCriu: bare.map(round) },
        fastestMs: { ours: round(Math.min(...ours)), bareCriu: round(Math.min(...bare)) },
        medianMs: { ours: round(median(ours)), bareCriu: round(median(bare)) },
        lastPhases: phases,
      }
    }
    if (isWanted('files')) {
      const { many, few, phases } = await measureFiles(stage)
      ratios.frozen_files = round(median(many) / median(few))
      figures.files = {
        frozenMs: { many: many.map(round), few: few.map(round) },
        medianMs: { many: round(median(many)), few: round(median(few)) },
        lastPhases: phases,
      }
    }
    return { bench: 'freeze', ratios, figures }
  } finally {
    await stage.close()
  }
})

async function measure(stage: Stage, key: string, mebibytes: number, rounds: number) {
  const pod = await stage.runToFirstBeat(key, mebibytes)
  const ours: number[] = []
  const bare: number[] = []
  let phases: unknown
  // The first of each touches disk and memory for the first time, which here costs several times the second.
  for (let round = 0; round <= rounds; round++) {
    const byUs = () => standstillIn(pod, mebibytes, async () => void (phases = await checkpoint(pod)))
    const byCriu = async () => {
      const ms = await standstillIn(pod, mebibytes, () => bareDump(pod))
      await forgetBareDump(pod)
      return ms
    }
    // Whoever comes second finds what the first has left in the page cache: they take turns at it.
    const first = round % 2 === 0 ? await byUs() : await byCriu()
    const second = round % 2 === 0 ? await byCriu() : await byUs()
    const [ourMs, bareMs] = round % 2 === 0 ? [first, second] : [second, first]
    say(`${mebibytes} MiB, round ${round}: ${ourMs.toFixed(0)} ms frozen, bare CRIU ${bareMs.toFixed(0)} ms`)
    if (round > 0) ours.push(ourMs)
    if (round > 0) bare.push(bareMs)
  }
  await pod.crash()
  return { ours, bare, phases }
}

/** Two pods in turn, of one program: the images differ by their files. */
async function measureFiles(stage: Stage) {
  const { mebibytes, rounds } = withFiles
  const pods = {
    many: await stage.runToFirstBeat('many', mebibytes, { image: 'many' }),
    few: await stage.runToFirstBeat('few', mebibytes, { image: 'few' }),
  }
  const [many, few, phases]: [number[], number[], Record<string, unknown>] = [[], [], {}]
  for (let round = 0; round <= rounds; round++)
    for (const name of round % 2 === 0 ? (['many', 'few'] as const) : (['few', 'many'] as const)) {
      const ms = await standstillIn(pods[name], mebibytes, async () => {
        phases[name] = await checkpoint(pods[name])
      })
      say(`${images[name]} files, round ${round}: ${ms.toFixed(0)} ms frozen`)
      if (round > 0) (name === 'many' ? many : few).push(ms)
    }
  for (const pod of Object.values(pods)) await pod.crash()
  return { many, few, phases }
}

/** @returns its phases */
async function checkpoint(pod: Pod): Promise<unknown> {
  const answer = await askControl(pod, { afterwards: 'resume' })
  const outcome = answer[application]
  if (outcome?.outcome !== 'taken') throw new Error(`no checkpoint: ${JSON.stringify(answer)}`)
  return (outcome as { phases?: unknown }).phases
}

async function standstillIn(pod: Pod, mebibytes: number, work: () => Promise<void>): Promise<number> {
  await settle(mebibytes)
  const from = Date.now()
  await work()
  const to = Date.now()
  await new Promise((resolve) => setTimeout(resolve, 200))
  return standstillMs(beatsIn(pod.logLines(application)), from, to)
}
