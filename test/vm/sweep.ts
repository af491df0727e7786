/** Each machine's own folder (its payload, its console), and the removal of those whose process is dead. */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const parent = '/var/tmp'
const prefix = 'reprieve-vm-'

export function makeMachineFolder(): string {
  sweepMachineFolders()
  const folder = mkdtempSync(join(parent, prefix))
  writeFileSync(join(folder, 'owner'), String(process.pid))
  return folder
}

/** One without an owner is just being made, or about to be removed. */
export function sweepMachineFolders(): string[] {
  const dead = readdirSync(parent)
    .filter((name) => name.startsWith(prefix))
    .map((name) => join(parent, name))
    .filter((folder) => {
      const owner = join(folder, 'owner')
      return existsSync(owner) && !existsSync(`/proc/${readFileSync(owner, 'utf8') || 'self'}`)
    })
  for (const folder of dead) rmSync(folder, { recursive: true, force: true })
  return dead
}

if (import.meta.main) {
  const dead = sweepMachineFolders()
  if (dead.length > 0) process.stdout.write(`removed what ${dead.length} dead virtual machine(s) had left\n`)
}
