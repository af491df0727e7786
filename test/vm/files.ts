/** Which test files run in the guest. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')

/** Of those that run on the machine as well, what `make test` repeats in the guest: few, since a pod costs much there. */
export const everyday = ['test/e2e/post-start.test.ts']

/** Those for which `make test` has no time: five minutes for NFS, a lease of which lasts one. `make test-vm` runs them. */
export const seldom = ['test/nfs/epochs.vm.test.ts', 'test/nfs/objects.vm.test.ts']

const below = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((name) => name.endsWith('.test.ts'))
    .sort()

/** Those that run nowhere else, since they need cgroup v2 or capabilities that a machine may lack. */
export function guestOnly(): string[] {
  return below('test').filter((name) => name.endsWith('.vm.test.ts'))
}

/**
 * @param choice REPRIEVE_VM_FILES: nothing for what `make test` runs, `all` for whatever runs pods, or files
 * @throws Error that names every file that is not there
 */
export function chosenFiles(choice: string): string[] {
  const named = choice.split(/\s+/).filter(Boolean)
  if (named.length === 0) return [...guestOnly().filter((name) => !seldom.includes(name)), ...everyday]
  if (choice === 'all') return [...new Set([...guestOnly(), ...below('test/harness'), ...below('test/e2e')])]
  const missing = named.filter((name) => !existsSync(join(root, name)))
  if (missing.length > 0) throw new Error(`REPRIEVE_VM_FILES names what is not there: ${missing.join(', ')}`)
  return named
}
