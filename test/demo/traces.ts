/** What a running demo has on the machine, by names that are its own, so that a test can tell whether all of it went. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { cgroupFolders } from '../harness/cgroup.ts'
import { nodesRoot } from '../harness/sweep.ts'

/** Names of the demo's harness nodes and of its folders. */
export type Names = { nodes: Set<string>; folders: Set<string> }

export function lookFor(demoPid: number, names: Names): void {
  for (const id of existsSync(nodesRoot) ? readdirSync(nodesRoot) : [])
    if (readQuietly(join(nodesRoot, id, 'owner')) === String(demoPid)) names.nodes.add(id)
  for (const pid of processes()) {
    const isChild = /^PPid:\t(\d+)$/m.exec(readQuietly(`/proc/${pid}/status`))?.[1] === String(demoPid)
    const folder = /\/var\/tmp\/reprieve-demo-\w+/.exec(readQuietly(`/proc/${pid}/cmdline`))?.[0]
    if (isChild && folder !== undefined) names.folders.add(folder)
  }
}

/** Processes (by cgroup, command line, or mount namespace), cgroups and folders that bear one of the names. */
export function leftOver({ nodes, folders }: Names): string[] {
  const words = [...nodes, ...folders]
  const bears = (text: string) => words.some((word) => text.includes(word))
  const found: string[] = []
  for (const pid of processes())
    for (const file of ['cgroup', 'cmdline', 'mountinfo'])
      if (bears(readQuietly(`/proc/${pid}/${file}`))) found.push(`process ${pid} by its ${file}`)
  const cgroups = [...nodes].flatMap((id) => cgroupFolders(`/reprieve-harness-${id}`))
  for (const path of [...cgroups, ...folders, ...[...nodes].map((id) => join(nodesRoot, id))])
    if (existsSync(path)) found.push(path)
  return found
}

function processes(): string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name))
}

/** Processes come and go while they are looked at. */
function readQuietly(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
