/**
 * A file beside the socket of the launchers that exists while the container has a checkpoint to resume from. With it a launcher waits
 * longer for a late sidecar (PATIENCE_WITH_CHECKPOINT_MS in launcher/run/run.c). The restore init container and each new checkpoint
 * write it.
 */
import { rm, writeFile } from 'node:fs/promises'
import { volumePaths } from '../../src/volume.ts'
import type { EventLog } from '../../src/log.ts'

/** Only a hint: a failure here is logged. @param id of the checkpoint; undefined where there is none any more */
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
