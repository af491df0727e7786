/** What CRIU writes in a way that it cannot restore is written anew while the application still stands. */
import { ReprieveError } from '../../src/errors.ts'
import type { EventLog } from '../../src/log.ts'
import { rearmExpiredTimers } from './expired-timers.ts'
import { closeOutsideSockets } from './outside-sockets.ts'

/** @throws ReprieveError `dump-failed` where the images would not be restored as they are */
export async function mendImages(imagesFolder: string, log: EventLog): Promise<void> {
  await rearmExpiredTimers(imagesFolder, log)
  const sockets = await closeOutsideSockets(imagesFolder).catch((error: unknown) => {
    const message = 'sockets to processes outside the container could not be closed in the images'
    throw new ReprieveError('dump-failed', message, {}, error)
  })
  if (sockets > 0)
    log.info(
      { event: 'images.sockets_closed', sockets },
      'unix sockets to processes outside the container will come back closed',
    )
}
