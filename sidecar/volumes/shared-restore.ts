/** Prepares a restore for the volumes that other containers of the pod use as well, and notes what the application begins on. */
import { readFile } from 'node:fs/promises'
import type { ContainerPlan, PodPlan } from '../../src/pod-plan.ts'
import { archiveFiles } from '../files/archive.ts'
import { type FindOptions } from '../files/find.ts'
import { mountOf, readEphemeralRoots, type EphemeralRoots } from '../files/mounts.ts'
import { nothingShared, type SharedNames } from '../files/unpack.ts'
import { startByClockOf } from '../proc/process-tree.ts'
import { bytesOf, lookAtNeighbours, nameInPod, podVolumes, type PodVolume } from './pod-volumes.ts'
import { draftNote, readNote, type EachFile, type VolumeNote } from './volume-note.ts'
import { comesBack, shareOf, type Share } from './volume-share.ts'
import { eachState, type StateOfFile } from './volume-state.ts'

export type SharedOptions = FindOptions & {
  podPlan: PodPlan
  plan: ContainerPlan
  /** Of the checkpoint; undefined for an application that begins at its beginning. */
  createdAt?: string
}

type Volume = PodVolume & { share: Share }

/** What is known of the pod's volumes before a container begins. */
export type VolumesHere = {
  roots: EphemeralRoots
  volumes: Volume[]
  own: VolumeNote | undefined
  others: VolumeNote[]
  /** The protected containers of the pod, this one included. */
  names: string[]
  /** DEVICE:INODE of what programs of other containers hold. */
  holds: (file: string) => boolean
}

export async function volumesHere({ pid, podPlan, plan }: SharedOptions): Promise<VolumesHere> {
  const roots = await readEphemeralRoots(pid, plan)
  const names = podPlan.containers.map(({ name }) => name).filter((name) => name !== plan.name)
  const others = (await Promise.all(names.map((name) => readNote(name)))).filter((note) => note !== undefined)
  const own = await readNote(plan.name)
  const neighbours = await lookAtNeighbours(pid)
  const isUsed = (volume: PodVolume) => (volume.isGiven ? neighbours.uses(volume) : neighbours.mounts(volume))
  const volumes = (await podVolumes(pid, roots, plan)).map((volume) =>
    Object.assign(volume, { share: shareOf(volume, { own, others, isUsed }) }),
  )
  return { roots, volumes, own, others, names: [...names, plan.name], holds: (file) => neighbours.hold(file) }
}

/** @param held the paths of all files that the application held, as bytes in latin1 */
export async function planShared(
  options: SharedOptions,
  here: VolumesHere,
  held: ReadonlySet<string>,
): Promise<SharedNames> {
  const shared = here.volumes.filter(({ share }) => share !== 'own')
  if (shared.length === 0) return nothingShared
  const sinceSeconds = (await startByClockOf(options.pid)) / 1_000
  const archived = await archivedNames(options.folder)
  const deleted = new Set(await namesIn(options.folder, archiveFiles.deleted))
  const isSince = (changed: string) => Number(changed) > sinceSeconds
  const state = new Map<string, StateOfFile>()
  const inUse = new Set<string>()
  await eachState(options, here.roots, shared, (path, now) => {
    if (archived.has(path)) state.set(path, now)
    if (deleted.size > 0 && (isSince(now.changed) || here.holds(now.file)))
      for (const name of withFolders(path)) if (deleted.has(name)) inUse.add(name)
  })
  const known = await knownChanges(archived, shared, here.names)
  const isNewest = here.others.every(({ createdAt }) => createdAt < (options.createdAt ?? ''))
  const plan = {
    // Where nobody that we protect has begun yet, what the application had deleted goes again, but not what a neighbour has made.
    leave: inUse,
    keep: new Set<string>(),
    whole: new Set<string>(),
    back: new Set<string>(),
  }
  const comeBackTo = new Set<string>()
  for (const path of archived) {
    const volume = volumeOf(path, shared)
    if (volume === undefined || volume.share === 'own') continue
    const now = state.get(path)
    if (now?.isFolder === true) {
      plan.keep.add(path)
      continue
    }
    const isBack = comesBack({
      share: volume.share,
      isGiven: volume.isGiven,
      isHeld: held.has(path),
      isHeldBeside: now !== undefined && here.holds(now.file),
      now: now && { changed: now.changed, isSince: isSince(now.changed) },
      known: known.get(nameInPod(volume, path)) ?? none,
      isNewest,
    })
    if (isBack) {
      plan.back.add(path)
      comeBackTo.add(volume.path)
    } else plan.leave.add(path)
  }
  // What tar would take for another name in its list of exceptions cannot be left alone by itself.
  const unnamed = new Set(
    [...plan.leave].filter((path) => /\n|\s$/.test(path)).map((path) => volumeOf(path, shared)?.path),
  )
  for (const { path, share } of shared)
    if (unnamed.has(path) || (share !== 'first' && !comeBackTo.has(path))) plan.whole.add(bytesOf(path))
  const begun = shared.filter(({ share }) => share !== 'first')
  return { ...plan, volumes: begun.map(({ path }) => bytesOf(path)) }
}

/** A path, and the folders that it lies in. */
function* withFolders(path: string): Generator<string> {
  for (let name = path; name !== ''; name = name.slice(0, name.lastIndexOf('/'))) yield name
}

const none: ReadonlySet<string> = new Set()

/** What the notes say of the files of a checkpoint, by their names in the pod. */
async function knownChanges(
  archived: ReadonlySet<string>,
  volumes: readonly Volume[],
  containers: readonly string[],
): Promise<Map<string, Set<string>>> {
  const known = new Map<string, Set<string>>()
  for (const path of archived) {
    const volume = volumeOf(path, volumes)
    if (volume !== undefined) known.set(nameInPod(volume, path), new Set())
  }
  for (const container of containers)
    await readNote(container, (name, changed) => known.get(name)?.add(changed))
  return known
}

function volumeOf(path: string, volumes: readonly Volume[]): Volume | undefined {
  const mount = mountOf(
    path,
    volumes.map((volume) => bytesOf(volume.path)),
  )
  return volumes.find((volume) => bytesOf(volume.path) === mount)
}

/** Whether anything of a checkpoint is to be unpacked, or removed again, below a path. */
export async function bringsTo(path: string, folder: string): Promise<boolean> {
  const deleted = await namesIn(folder, archiveFiles.deleted)
  const isBelow = (name: string) => name.startsWith(`${path}/`)
  return deleted.some(isBelow) || [...(await archivedNames(folder))].some(isBelow)
}

async function archivedNames(folder: string): Promise<Set<string>> {
  const lists = [archiveFiles.list, archiveFiles.remapsList, archiveFiles.sockets]
  return new Set((await Promise.all(lists.map((list) => namesIn(folder, list)))).flat())
}

async function namesIn(folder: string, list: string): Promise<string[]> {
  const text = await readFile(`${folder}/${list}`, 'latin1').catch(() => '')
  return text.split('\0').filter((name) => name !== '')
}

/** In a volume of more files than these, one that an earlier life of the application removed may come back with a neighbour's restore. */
const mostGone = 100_000

/**
 * Notes the volumes as the application is about to find them, once what comes from a checkpoint lies there; a draft until `settleNote`.
 * @param back what came; undefined where nothing did
 */
export async function noteVolumes(
  options: SharedOptions,
  here: VolumesHere,
  back: ReadonlySet<string> = new Set(),
): Promise<void> {
  // Of what this container alone has used so far nobody needs to know more.
  const isAlone = options.podPlan.containers.length === 1
  const noted = here.volumes.filter(({ share }) => !isAlone && share !== 'lived')
  const sinceSeconds = (await startByClockOf(options.pid)) / 1_000
  const volumes = here.volumes.map(({ device, root }) => ({ device, root }))
  const fill = async (each: EachFile) => {
    const isNoted = (name: string) => noted.some((volume) => name.startsWith(nameInPod(volume, `${bytesOf(volume.path)}/`))) // prettier-ignore
    const gone = new Map<string, string>()
    if (here.own !== undefined)
      await readNote(options.plan.name, (name, changed) => {
        if (!isNoted(name)) each(name, changed)
        else if (gone.size < mostGone) gone.set(name, changed)
      })
    await eachState(options, here.roots, noted, (path, { changed, isFolder }) => {
      const volume = volumeOf(path, noted)
      if (volume === undefined || isFolder) return
      const name = nameInPod(volume, path)
      gone.delete(name)
      const isUntouched =
        volume.share === 'own' || (volume.share === 'first' && Number(changed) <= sinceSeconds)
      if (isUntouched || back.has(path)) each(name, changed)
    })
    // What an earlier life of the application removed stays known.
    for (const [name, changed] of gone) each(name, changed)
  }
  await draftNote(options.plan.name, { createdAt: options.createdAt ?? '', volumes }, fill)
}
