/**
 * A process whose program is a memfd, as some launchers and self-extracting programs have it: CRIU dumps it, and finds no file for its
 * /proc/PID/exe at the restore ("No entry for reg-file-ID"). So it is not dumped.
 */
import { readlink } from 'node:fs/promises'
import { dumpObstacles } from '../../src/dump-obstacles.ts'
import { ReprieveError } from '../../src/errors.ts'
import { treeOf } from '../proc/process-tree.ts'

/** @throws ReprieveError `dump-failed` */
export async function requireProgramFiles(root: number): Promise<void> {
  for (const pid of await treeOf(root)) {
    const program = await readlink(`/proc/${pid}/exe`).catch(() => '')
    if (!program.startsWith('/memfd:')) continue
    const obstacle = 'runs-from-memory'
    throw new ReprieveError(
      'dump-failed',
      `${dumpObstacles[obstacle].means}: process ${pid} runs ${program}`,
      { obstacle },
    )
  }
}
