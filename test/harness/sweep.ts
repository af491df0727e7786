/**
 * Clears away what dead test runs left: cgroups and folders (their processes were killed by their shims, and their
 * mounts went with the shims' mount namespaces). `node test/harness/sweep.ts` is a part of `make clean`.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cgroupFolders, removeCgroup } from './cgroup.ts'

export const nodesRoot = '/var/tmp/reprieve-harness'

/** Leaves word that a node belongs to this process. In one step, so that no sweep takes it for a dead one. */
export function claimNode(id: string): void {
  const unfinished = join(nodesRoot, `.${id}`)
  mkdirSync(unfinished, { recursive: true })
  writeFileSync(join(unfinished, 'owner'), String(process.pid))
  renameSync(unfinished, join(nodesRoot, id))
}

export async function sweepDeadNodes(): Promise<string[]> {
  const ids = new Set(
    existsSync(nodesRoot) ? readdirSync(nodesRoot).filter((name) => !name.startsWith('.')) : [],
  )
  for (const folder of cgroupFolders('/'))
    for (const name of existsSync(folder) ? readdirSync(folder) : [])
      if (name.startsWith('reprieve-harness-')) ids.add(name.replace('reprieve-harness-', ''))
  const dead = [...ids].filter((id) => !isOwned(join(nodesRoot, id, 'owner')))
  for (const id of dead) {
    await removeCgroup(`/reprieve-harness-${id}`)
    rmSync(join(nodesRoot, id), { recursive: true, force: true })
  }
  return dead
}

/** Whether the process that made a node still lives. */
function isOwned(file: string): boolean {
  try {
    return existsSync(`/proc/${readFileSync(file, 'utf8')}`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return false
  }
}

if (import.meta.main) {
  const dead = await sweepDeadNodes()
  if (dead.length > 0) process.stdout.write(`removed what ${dead.length} dead harness node(s) had left\n`)
}
