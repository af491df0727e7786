/** A folder of plain files for a cgroup of version 2: freezing, thawing and braking are writes like any other. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MemoryCgroup } from '../../../../sidecar/triggers/memory/memory-cgroup.ts'

export const mebibyte = 1024 ** 2
export const limitBytes = 100 * mebibyte
export const throttleBytes = 85 * mebibyte

type Test = { teardown: (work: () => unknown) => void }

export function plainCgroup(t: Test) {
  const folder = mkdtempSync(join(tmpdir(), 'reprieve-cgroup-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = (name: string) => join(folder, name)
  const set = (name: string, value: number | string) => writeFileSync(file(name), String(value))
  /** The kernel's are never empty; a plain file is, for a moment, while another thread writes it anew. */
  const read = (name: string): string => {
    for (let tries = 1; ; tries++) {
      const text = readFileSync(file(name), 'utf8').trim()
      if (text !== '' || tries === 100_000) return text
    }
  }
  const uses = (bytes: number) => set('memory.current', bytes)
  set('memory.max', limitBytes)
  set('memory.high', 'max')
  set('memory.events', 'high 0\n')
  set('memory.stat', 'active_file 0\n')
  set('cgroup.events', 'populated 1\nfrozen 1\n')
  set('cgroup.freeze', 0)
  uses(10 * mebibyte)
  return { cgroup: new MemoryCgroup(2, folder), folder, file, set, read, uses }
}
