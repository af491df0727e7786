/** Checkpoints that are not what they were: the application runs all the same, from the best state there is. */
import {
  cpSync,
  mkdirSync,
  openSync,
  closeSync,
  readSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Pod } from '../harness/pod.ts'
import { drawn } from './kills.ts'
import { endlessPatience, soaking } from './support.ts'
import {
  goesOn,
  lastStep,
  mustCheckpoint,
  openSurvivorStage,
  rejectedBy,
  restoredFrom,
  runSurvivor,
  stepsOf,
  type SurvivorStage,
} from './survivor.ts'

const positions = soaking ? 50 : 8
const small = { mebibytes: 8 } as const

/** Every regular file of a checkpoint, its manifest among them. */
function filesOf(stage: SurvivorStage, id: string): string[] {
  const found = readdirSync(stage.storeFolder, { recursive: true, withFileTypes: true })
  return found
    .filter((entry) => entry.isFile() && statSync(join(entry.parentPath, entry.name)).size > 0)
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => path.includes(`/${id}/`))
    .sort()
}

/** Changes one byte. Small files are as likely as large ones: there the interesting ones are. */
function corrupt(stage: SurvivorStage, id: string, random: () => number): string {
  const files = filesOf(stage, id)
  const file = files[Math.floor(random() * files.length)]
  if (file === undefined) throw new Error(`there are no files of ${id}`)
  const position = Math.floor(random() * statSync(file).size)
  const handle = openSync(file, 'r+')
  const byte = Buffer.alloc(1)
  readSync(handle, byte, 0, 1, position)
  byte.writeUInt8(byte.readUInt8(0) ^ (1 + Math.floor(random() * 255)))
  writeSync(handle, byte, 0, 1, position)
  closeSync(handle)
  return `${file.slice(file.indexOf(id) + id.length + 1)} at byte ${position}`
}

/** A store with two checkpoints of a pod that is gone, which can be put back to how it was. */
async function openDamagedStage(t: Parameters<typeof openSurvivorStage>[0]) {
  const stage = await openSurvivorStage(t)
  const pod = await runSurvivor(stage, small)
  const older = await mustCheckpoint(pod)
  await goesOn(pod)
  const newest = await mustCheckpoint(pod)
  const latest = lastStep(pod)
  await pod.crash()
  const kept = join(stage.folder, 'kept')
  renameSync(stage.storeFolder, kept)
  const reset = () => {
    rmSync(stage.storeFolder, { recursive: true, force: true })
    mkdirSync(stage.storeFolder)
    cpSync(kept, stage.storeFolder, { recursive: true, preserveTimestamps: true })
  }
  return { stage, older, newest, latest, reset }
}

async function restored(
  stage: SurvivorStage,
  expected: string | undefined,
): Promise<{ pod: Pod; from: string | undefined }> {
  // It does not wait for what cannot come.
  const pod = await runSurvivor(stage, { ...small, env: endlessPatience })
  return { pod, from: await restoredFrom(pod, expected) }
}

t.test('a byte that changed in the newest checkpoint is seen, and the next older one is used', async (t) => {
  const random = drawn(t)
  const { stage, older, newest, latest, reset } = await openDamagedStage(t)
  reset()
  const whole = await restored(stage, newest)
  t.equal(whole.from, newest, 'undamaged, the newest is used')
  await whole.pod.crash()
  let held = 0
  for (let position = 0; position < positions; position++) {
    reset()
    const where = corrupt(stage, newest, random)
    const { pod, from } = await restored(stage, older)
    const first = stepsOf(pod)[0]?.step ?? 0
    t.equal(from, older, where)
    t.ok(first > 1 && first <= latest, `${where}: it went on at step ${first}`)
    t.match(await rejectedBy(pod), [{ id: newest, reason: 'checkpoint-corrupt' }], where)
    if (from === older) held++
    await pod.crash()
  }
  t.comment(`${positions} positions: held ${held}`)
  t.equal(held, positions)
})

t.test('when all checkpoints are damaged the application begins anew, and it is told why', async (t) => {
  const random = drawn(t)
  const { stage, older, newest, reset } = await openDamagedStage(t)
  reset()
  for (const id of [older, newest]) corrupt(stage, id, random)
  const { pod, from } = await restored(stage, undefined)
  t.equal(from, undefined)
  t.equal(stepsOf(pod)[0]?.step, 1)
  const rejected = await rejectedBy(pod)
  for (const id of [older, newest])
    t.match(
      rejected.find((one) => one.id === id),
      { reason: 'checkpoint-corrupt' },
    )
  t.ok(await mustCheckpoint(pod), 'new checkpoints are taken')
})

t.test('a checkpoint of which a file is missing is passed over', async (t) => {
  const { stage, older, newest, reset } = await openDamagedStage(t)
  reset()
  const pages = filesOf(stage, newest).find((file) => /pages-\d+\.img$/.test(file))
  if (pages === undefined) throw new Error(`${newest} has no pages`)
  rmSync(pages)
  const { pod, from } = await restored(stage, older)
  t.equal(from, older)
  t.match(await rejectedBy(pod), [{ id: newest, reason: 'checkpoint-corrupt' }])
})
