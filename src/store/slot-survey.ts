/** What a sweep sees of the slots of a store: when each showed a sign of life, and how much it holds. */
import { lstat, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isCheckpointId } from '../checkpoint-id.ts'
import { errnoOf } from '../errors.ts'
import { parseManifest } from '../manifest-codec.ts'
import { manifestLimits } from '../manifest-shape.ts'
import { claimsName, claimsOf, isGone } from './epochs.ts'
import { readBounded } from './read-bounded.ts'
import type { SlotState } from './retention.ts'
import { filesName, isTrash, lockName, manifestName, partialName, recordName, writerOfPartial } from './slot-folder.ts' // prettier-ignore
import { ownWriterMark } from './writer-mark.ts'

/** The holder of an epoch that a sweep took: no sign of life. */
export const sweeper = { pod: 'reprieve-sweep', uid: 'reprieve-sweep', node: '' }

/** The names of the parts are those of folders, as encodeName gives them. */
export type SlotPlace = { root: string; lineage: string; container: string }
export type SurveyedSlot = SlotState & SlotPlace & { folder: string; checkpoints: number }

/**
 * The folders that hold lineages: the given one, which a claim's pods and the releases before 0.3 write to, and in it those of namespaces. The
 * store may share its volume with other data, of which nothing is swept.
 */
export async function lineageRoots(root: string, namespace?: string): Promise<string[]> {
  const names = (await foldersIn(root)).filter(isNamespace)
  const roots = [root]
  for (const name of names.filter((one) => namespace === undefined || one === namespace)) {
    const inside = await readdir(join(root, name)).catch(noneIfGone)
    if (inside.some((one) => one.startsWith(`${name}+`)) || (inside.length > 0 && inside.every(isLeftOver)))
      roots.push(join(root, name))
  }
  return roots
}

function isLeftOver(name: string): boolean {
  return isTrash(name) || writerOfPartial(name) !== undefined
}

function isNamespace(name: string): boolean {
  return /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)
}

/** All slots below one root, of one namespace if it is given. */
export async function slotsBelow(root: string, namespace?: string): Promise<SlotPlace[]> {
  const found: SlotPlace[] = []
  for (const lineage of await lineageFolders(root, namespace))
    for (const container of await foldersIn(join(root, lineage)))
      if (await isSlot(join(root, lineage, container))) found.push({ root, lineage, container })
  return found
}

/** A lineage has several parts, which encodeName joins. The first is its namespace, which tells it from other data. */
export async function lineageFolders(root: string, namespace?: string): Promise<string[]> {
  const names = (await foldersIn(root)).filter((name) => name.includes('+') && isNamespace(namespaceOf(name)))
  return names.filter((name) => namespace === undefined || namespaceOf(name) === namespace)
}

export async function surveySlot(
  { root, lineage, container }: SlotPlace,
  { nowMs, countBytes }: { nowMs: number; countBytes: boolean },
): Promise<SurveyedSlot> {
  const folder = join(root, lineage, container)
  const ids = (await readdir(folder)).filter(isCheckpointId)
  const idleMs = nowMs - (await lastLifeMs(folder, ids))
  const bytes = countBytes ? await bytesOf(folder, ids) : 0
  const namespace = namespaceOf(lineage)
  return { namespace, root, lineage, container, folder, idleMs, bytes, checkpoints: ids.length }
}

/** By the clock of the store: that of a file server may differ from this machine's. */
export async function nowOf(root: string): Promise<number> {
  const probe = join(root, partialName('clock', ownWriterMark()))
  await writeFile(probe, '')
  try {
    return (await lstat(probe)).mtimeMs
  } finally {
    await rm(probe, { force: true })
  }
}

/** The checkpoints that are older than that. None where the time cannot be told, as on a full disk. */
export async function overdueOf(
  root: string,
  folder: string,
  ids: readonly string[],
  ttlMs: number,
): Promise<Set<string>> {
  if (ids.length === 0 || ttlMs === Number.POSITIVE_INFINITY) return new Set()
  try {
    const nowMs = await nowOf(root)
    const times = await Promise.all(ids.map((id) => modifiedMs(join(folder, id, manifestName))))
    return new Set(ids.filter((_, at) => nowMs - (times[at] ?? nowMs) > ttlMs))
  } catch {
    return new Set()
  }
}

/** Of a writer: its checkpoints, its record, its claim and its beat. The folder of the slot changes when a sweep works there. */
async function lastLifeMs(folder: string, ids: readonly string[]): Promise<number> {
  const claims = await claimsOf(folder)
  const own = claims.filter(({ holder }) => holder.uid !== sweeper.uid)
  const paths = [
    recordName,
    lockName,
    ...ids.flatMap((id) => [join(id, manifestName), join(id, filesName)]),
    // A beat is a change of the gate. Of a gate, a sweep changes only what is long dead in it.
    ...own.flatMap(({ number, gate }) => [join(claimsName, String(number)), join(claimsName, gate)]),
    // A writer of an earlier release has what it writes beside its checkpoints.
    ...(await readdir(folder)).filter((name) => name.includes('.partial-')),
  ]
  const times = await Promise.all(paths.map((path) => modifiedMs(join(folder, path))))
  // Of a slot that has nothing of all this, when it was made or changed last.
  return times.some((time) => time > 0) || claims.length > 0 ? Math.max(0, ...times) : modifiedMs(folder)
}

async function modifiedMs(path: string): Promise<number> {
  try {
    return (await lstat(path)).mtimeMs
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return 0
    throw error
  }
}

async function bytesOf(folder: string, ids: readonly string[]): Promise<number> {
  let bytes = 0
  for (const id of ids) {
    try {
      bytes += parseManifest(await readBounded(join(folder, id, manifestName), manifestLimits.manifestBytes)).totalBytes // prettier-ignore
    } catch {
      // One that cannot be read is not counted, and goes with the others.
    }
  }
  return bytes
}

/** The namespace is the first part of a lineage, and its characters are those that a folder's name keeps. */
export function namespaceOf(lineage: string): string {
  return lineage.split('+')[0] ?? ''
}

/** Empty, or with something that only a store makes. */
async function isSlot(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch(noneIfGone)
  return names.length === 0 || names.some(isOfSlot)
}

function isOfSlot(name: string): boolean {
  return (
    [recordName, lockName, claimsName].includes(name) ||
    isCheckpointId(name) ||
    isTrash(name) ||
    writerOfPartial(name) !== undefined
  )
}

/** Another sweep may remove the same at this moment. */
function noneIfGone(error: unknown): never[] {
  if (isGone(error)) return []
  throw error
}

async function foldersIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(noneIfGone)
  return entries.flatMap((entry) => (entry.isDirectory() && !entry.name.startsWith('.') ? [entry.name] : []))
}
