/**
 * What the containers of this pod have begun on. Each protected container has a note in the pod's volume from the moment its application
 * began here: the volumes that it mounts, and the files in them as they were then. It tells what the application has changed since. A volume
 * may have a million files, so a note is written and read piece by piece.
 */
import { createReadStream, writeFileSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { errnoOf } from '../../src/errors.ts'
import { volumePaths } from '../../src/volume.ts'
import { bytesOf, type PodVolume } from './pod-volumes.ts'

export type VolumeNote = {
  /** When the checkpoint was made that the application went on from; empty where it began at its beginning. */
  createdAt: string
  volumes: Pick<PodVolume, 'device' | 'root'>[]
}

/** Of a file that nobody had touched, its name in the pod (nameInPod) and its ctime. No program can set a ctime. */
export type EachFile = (name: string, changed: string) => void

/** Where the notes are. For tests. */
export type NotePlace = { run: string }

const place: NotePlace = volumePaths
const noteOf = (container: string, { run }: NotePlace) => `${run}/${container}/volumes.note`

/** Written where it counts for nothing yet. @param fill names each file */
export async function draftNote(
  container: string,
  head: VolumeNote,
  fill: (each: EachFile) => Promise<void>,
  at = place,
): Promise<void> {
  const file = await open(`${noteOf(container, at)}.draft`, 'w', 0o600)
  try {
    // At once, since nobody waits for what finds the files: what is to be written would pile up.
    const write = (text: string) => writeFileSync(file.fd, bytes(text))
    write(`${bytesOf(JSON.stringify(head))}\n`)
    let piece = ''
    await fill((name, changed) => {
      piece += `${changed} ${name}\0`
      if (piece.length < pieceBytes) return
      write(piece)
      piece = ''
    })
    write(piece)
  } finally {
    await file.close()
  }
}

const pieceBytes = 1 << 16

function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

/** To be called before the application's first instruction. */
export async function settleNote(container: string, at = place): Promise<void> {
  await rename(`${noteOf(container, at)}.draft`, noteOf(container, at))
}

/**
 * Undefined where no application has begun in the container, or nobody could note it.
 * @param each hears of each file; without it the files are not read
 */
export async function readNote(
  container: string,
  each?: EachFile,
  at = place,
): Promise<VolumeNote | undefined> {
  let head: VolumeNote | undefined
  let rest = ''
  try {
    const chunks = createReadStream(noteOf(container, at), { encoding: 'latin1', highWaterMark: pieceBytes })
    for await (const chunk of chunks) {
      rest += String(chunk)
      if (head === undefined) {
        const end = rest.indexOf('\n')
        if (end < 0) continue
        head = JSON.parse(bytes(rest.slice(0, end)).toString()) as VolumeNote
        rest = rest.slice(end + 1)
      }
      if (each === undefined) break
      const entries = rest.split('\0')
      rest = entries.pop() ?? ''
      for (const entry of entries) {
        const space = entry.indexOf(' ')
        if (space > 0) each(entry.slice(space + 1), entry.slice(0, space))
      }
    }
    return head
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return undefined
  }
}
