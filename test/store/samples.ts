/** Checkpoints made up for the tests. */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { makeCheckpointId } from '../../src/checkpoint-id.ts'
import type { CheckpointDraft, Slot } from '../../src/manifest.ts'
import { isGate, type Epoch } from '../../src/store/epochs.ts'
import type { Store } from '../../src/store/store.ts'

export const slot: Slot = { lineage: 'ml-team/StatefulSet/train/0', container: 'main' }
export const never = new AbortController().signal

let lastMs = Date.UTC(2026, 0, 2)

/** Each draft is a millisecond younger than the one before. */
export function sampleDraft(changes: Partial<CheckpointDraft> = {}): CheckpointDraft {
  const instant = new Date(lastMs++)
  return {
    id: makeCheckpointId(instant),
    slot,
    createdAt: instant.toISOString(),
    trigger: 'manual',
    reason: 'a test asked for it',
    pod: { name: 'train-0', uid: '0d1c', node: 'node-1' },
    fits: { fingerprint: 'f1', architecture: 'x86_64', launcher: 'abcdefabcdef' },
    made: { kernel: '6.12', criu: '4.1.1', reprieve: '0.1.0' },
    process: { rootPid: 9001, pids: [9001, 9002], stdio: [{ fd: 1, inode: '12345' }] },
    externalFiles: [{ path: '/data/log.txt', sizeBytes: 12 }],
    timings: { frozenMs: 1.5, dumpMs: 2, archiveMs: 3 },
    ...changes,
  }
}

export const sampleFiles: Record<string, Uint8Array> = {
  'criu/core-9001.img': randomBytes(700),
  'criu/empty.img': Buffer.alloc(0),
  // Across the chunk of the copy (1 MiB), and not a multiple of it.
  'criu/pages-1.img': randomBytes((1 << 20) * 2 + 12_345),
  'archive/layer.tar': randomBytes(1 << 20),
  'notes.txt': Buffer.from('hello'),
}

export function temporaryFolder(below = tmpdir()): string {
  return mkdtempSync(join(below, 'reprieve-store-'))
}

/** A folder for one test, removed at its end. */
export function folderFor(t: { teardown(fn: () => void): void }, below = tmpdir()): string {
  const folder = temporaryFolder(below)
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export function writeTree(folder: string, files: Record<string, Uint8Array>): string {
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), bytes)
  }
  return folder
}

export function readTree(folder: string): Record<string, Buffer> {
  const files: Record<string, Buffer> = {}
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    files[path.slice(folder.length + 1)] = readFileSync(path)
  }
  return files
}

/** The paths whose content differs, or that only one side has. */
export function differences(found: Record<string, Uint8Array>, wanted: Record<string, Uint8Array>): string[] {
  const paths = new Set([...Object.keys(found), ...Object.keys(wanted)])
  return [...paths].filter((path) => {
    const [a, b] = [found[path], wanted[path]]
    return a === undefined || b === undefined || Buffer.compare(a, b) !== 0
  })
}

export function slotPath(root: string): string {
  return join(root, 'ml-team+StatefulSet+train+0', 'main')
}

/** What writers and removers have under way in the slot, or have left there. */
export function leftovers(root: string): string[] {
  const epochs = join(slotPath(root), 'epochs')
  const beside = existsSync(epochs) ? readdirSync(epochs) : []
  const inGates = beside.filter(isGate).flatMap((gate) => readdirSync(join(epochs, gate)))
  return [...readdirSync(slotPath(root)), ...beside, ...inGates].filter((name) => name.startsWith('.'))
}

/** As a pod does before it writes: whoever wrote to the slot before may not any more. */
export function takes(store: Pick<Store, 'epochs'>, pod = 'another'): Promise<Epoch> {
  return store.epochs.take(slot, { pod, uid: pod, node: 'n' }, never)
}
