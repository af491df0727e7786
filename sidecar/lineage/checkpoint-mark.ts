/**
 * A file beside the launchers' socket, there while the container has a checkpoint to go on from: a launcher waits longer then for a
 * sidecar that is late (PATIENCE_WITH_CHECKPOINT_MS in launcher/run/run.c). Left by the restore init container and by each
 * checkpoint that is taken.
 */
import { rm, writeFile } from 'node:fs/promises'
import { volumePaths } from '../../src/volume.ts'
import type { EventLog } from '../../src/log.ts'

/** @param id of the checkpoint; undefined: there is none any more. Only a hint: what fails here fails nothing */
export async function markCheckpoint(
  container: string,
  id: string | undefined,
  log: EventLog,
): Promise<void> {
  const path = `${volumePaths.run}/${container}.checkpoint`
  await (id === undefined ? rm(path, { force: true }) : writeFile(path, id)).catch((error: unknown) =>
    log.warn(
      { event: 'checkpoint.not_marked', err: error },
      'that there is a checkpoint to go on from could not be noted for the launcher',
    ),
  )
}
