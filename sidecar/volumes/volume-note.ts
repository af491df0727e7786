/**
 * What the containers of this pod have begun on. Each protected container has a note in the pod's volume from the moment its application
 * began here: the volumes that it mounts, and the files in them as they were then. It tells what the application has changed since.
 */
import { readFile, rename, writeFile } from 'node:fs/promises'
import { volumePaths } from '../../src/volume.ts'
import type { PodVolume } from './pod-volumes.ts'

export type VolumeNote = {
  /** When the checkpoint was made that the application went on from; empty where it began at its beginning. */
  createdAt: string
  volumes: Pick<PodVolume, 'device' | 'root'>[]
  /** By their names in the pod (nameInPod), the ctime of files that nobody had touched. No program can set a ctime. */
  files: ReadonlyMap<string, string>
}

const noteOf = (container: string) => `${volumePaths.run}/${container}/volumes.note`

/** Written where it counts for nothing yet. */
export async function draftNote(container: string, { files, ...head }: VolumeNote): Promise<void> {
  const entries = [...files].map(([name, changed]) => `${changed} ${name}\0`)
  const text = `${JSON.stringify(head)}\n${entries.join('')}`
  await writeFile(`${noteOf(container)}.draft`, Buffer.from(text, 'latin1'), { mode: 0o600 })
}

/** To be called before the application's first instruction. */
export async function settleNote(container: string): Promise<void> {
  await rename(`${noteOf(container)}.draft`, noteOf(container))
}

/** Undefined where no application has begun in the container, or nobody could note it. */
export async function readNote(container: string): Promise<VolumeNote | undefined> {
  const text = await readFile(noteOf(container), 'latin1').catch(() => undefined)
  if (text === undefined) return undefined
  const end = text.indexOf('\n')
  const head = JSON.parse(text.slice(0, end)) as Omit<VolumeNote, 'files'>
  const files = new Map<string, string>()
  for (const entry of text.slice(end + 1).split('\0')) {
    const at = entry.indexOf(' ')
    if (at > 0) files.set(entry.slice(at + 1), entry.slice(0, at))
  }
  return { ...head, files }
}
