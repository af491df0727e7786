/**
 * The life of the application that runs in a container: its generation, and the checkpoint that it was restored from. A file in the pod's
 * volume keeps it, since the sidecar may be started again. It names the launcher, so that what it says never counts for a later application.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { isCheckpointId, makeCheckpointId } from '../../src/checkpoint-id.ts'
import { generationShape, type Generation, type Life } from '../../src/generation.ts'
import type { EventLog } from '../../src/log.ts'
import { isRecord, problemsOf } from '../../src/shape.ts'
import { volumePaths } from '../../src/volume.ts'

/** Two lives that begin in one millisecond, on one node or on two, differ by its random digits. */
export function newGenerationId(): string {
  return makeCheckpointId(new Date())
}

/** @param launcherLife of the launcher in whose container the application runs (lifeOf). A failure is logged. */
export async function noteLife(
  container: string,
  launcherLife: string,
  life: Life,
  log: EventLog,
): Promise<void> {
  await writeFile(pathOf(container), JSON.stringify({ launcherLife, ...life })).catch((error: unknown) =>
    log.warn(
      { event: 'lineage.life_not_noted', err: error },
      'the generation of the application could not be noted: its next checkpoint begins another one',
    ),
  )
}

/** An application that nobody has noted began by itself, since its sidecar or its restore took too long: a generation of its own. */
export async function lifeIn(container: string, launcherLife: string, log: EventLog): Promise<Life> {
  const noted = await readFile(pathOf(container), 'utf8').then(parse, () => undefined)
  if (noted?.launcherLife === launcherLife) return noted.life
  const life: Life = { generation: { id: newGenerationId(), began: 'surroundings' } }
  await noteLife(container, launcherLife, life, log)
  return life
}

function pathOf(container: string): string {
  return `${volumePaths.run}/${container}/life.json`
}

function parse(text: string): { launcherLife: unknown; life: Life } | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isRecord(value) || problemsOf(generationShape, value.generation).length > 0) return undefined
  const generation = value.generation as Generation
  const { launcherLife, parent } = value
  return { launcherLife, life: isCheckpointId(parent) ? { generation, parent } : { generation } }
}
