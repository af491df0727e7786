/**
 * The epochs of a slot: whose turn it is to write there. Right without locks and clocks, on a local disk as on NFS.
 *
 *     <slot>/epochs/<n>/             epoch n is taken: rename(2) makes it once, so that an epoch has one writer; who that is, as names of folders
 *     <slot>/epochs/writer-<n>-<random>/    the gate of that writer: its beat (a folder with a new name each time), and whatever it writes or removes
 *
 * All of this is folders, and no file is opened: a server of NFSv4 delegates files to the client that wrote them. Another client that opens such a
 * file waits until a dead one's lease is over, and others of its node wait for the folder of that file.
 *
 * A writer changes the slot only by renaming something out of its gate, or into it. Who takes the next epoch empties the gates of the earlier
 * ones and removes them. A rename that comes after that fails: on a local disk the path is gone, and an NFS server refuses the handle of a
 * removed folder (ESTALE), whatever the client has cached. So a checkpoint is published before the next epoch begins, or never.
 */
import { randomBytes } from 'node:crypto'
import { lstat, mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { folderMode, makeFolder, syncFolder } from '../durable-file.ts'
import { ReprieveError, errnoOf } from '../errors.ts'
import { encodeName, trashName } from './slot-folder.ts'

/** `lock`: of whom the slot lock of this writer keeps out less than all pods: nobody, or those of its own node. */
export type Holder = { pod: string; uid: string; node: string; lock?: 'none' | 'node' }
/** `gate`: the name of its folder in the slot. */
export type Epoch = { number: number; gate: string }
/**
 * `beat` changes while the writer lives; undefined where its gate is gone. `livedMs`: from its claim to its last beat, by the clock of the
 * store.
 */
export type EpochState = Epoch & { holder: Holder; beat: string | undefined; livedMs: number }

export const claimsName = 'epochs'
const beatForm = /^beat-[0-9a-f]{16}$/
/** A client whose listing is old must not find an epoch free that was taken long ago. */
const claimsKept = 64
/** Of a writer that goes on writing while its gate is being closed. */
const closingRounds = 1_000

const gateForm = /^writer-(\d+)-[0-9a-f]{8}$/

export function isGate(name: string): boolean {
  return gateForm.test(name)
}

export function gatePath(slotFolder: string, gate: string): string {
  return join(slotFolder, claimsName, gate)
}

/**
 * Takes the next epoch and ends every earlier one. @param after only the epoch that follows this one: of two pods that see one writer die, one
 * gets it.
 * @throws ReprieveError `lineage-fenced` where another writer was quicker
 */
export async function takeEpoch(slotFolder: string, holder: Holder, after?: number): Promise<Epoch> {
  const claims = join(slotFolder, claimsName)
  if (after !== undefined) {
    const epoch = await takeExactly(slotFolder, after + 1, holder)
    if (epoch !== undefined) return epoch
    throw new ReprieveError('lineage-fenced', 'another pod took the lineage first')
  }
  await makeClaims(claims, makeFolder)
  for (let number = newestOf(await claimed(claims)) + 1; ; number++) {
    const epoch = await claim(slotFolder, number, holder)
    if (epoch !== undefined) return enter(slotFolder, epoch)
  }
}

/** Takes the epoch of this number, or none, in a slot that is there: one that a sweep removes at this moment is not made anew. @throws ReprieveError `lineage-fenced` where another writer was quicker */
export async function takeExactly(
  slotFolder: string,
  number: number,
  holder: Holder,
): Promise<Epoch | undefined> {
  await makeClaims(join(slotFolder, claimsName), async (claims) => {
    await mkdir(claims, { mode: folderMode }).catch((error: unknown) => {
      if (errnoOf(error) !== 'EEXIST') throw error
    })
    await syncFolder(slotFolder)
  })
  const epoch = await claim(slotFolder, number, holder)
  return epoch === undefined ? undefined : enter(slotFolder, epoch)
}

/** The claims that can be read. */
export async function claimsOf(slotFolder: string): Promise<(Epoch & { holder: Holder })[]> {
  const numbers = await claimed(join(slotFolder, claimsName))
  const claims = numbers.map(async (number) => {
    const found = await readClaim(slotFolder, number)
    return found === undefined ? [] : [{ number, ...found }]
  })
  return (await Promise.all(claims)).flat()
}

/**
 * For a writer whose gate is gone: takes the epoch that follows its own, where nobody has taken one since. A sweep may have removed the whole
 * slot. @returns undefined where another writer has
 */
export async function reclaimEpoch(
  slotFolder: string,
  own: Epoch,
  holder: Holder,
): Promise<Epoch | undefined> {
  const claims = join(slotFolder, claimsName)
  const isThere = (await readClaim(slotFolder, own.number))?.gate === own.gate
  const numbers = await claimed(claims)
  if (isThere ? newestOf(numbers) > own.number : numbers.length > 0) return undefined
  // Exactly this number: that it is free is the proof.
  return takeExactly(slotFolder, isThere ? own.number + 1 : 1, holder)
}

/** Says what the slot lock of this writer is worth from now on. */
export async function claimLock(slotFolder: string, { number }: Epoch, lock: Holder['lock']): Promise<void> {
  const claim = join(slotFolder, claimsName, String(number))
  for (const name of await readdir(claim)) if (name.startsWith('lock=')) await rmdir(join(claim, name))
  if (lock !== undefined) await mkdir(join(claim, `lock=${lock}`), { mode: folderMode })
}

/** Says that the writer lives. @returns whether its gate is open */
export async function beat(slotFolder: string, { gate }: Epoch): Promise<boolean> {
  const folder = gatePath(slotFolder, gate)
  try {
    const last = (await readdir(folder)).find((name) => beatForm.test(name))
    const next = join(folder, `beat-${randomBytes(8).toString('hex')}`)
    await (last === undefined ? mkdir(next, { mode: folderMode }) : rename(join(folder, last), next))
    return true
  } catch (error) {
    if (isGone(error)) return false
    throw error
  }
}

export async function newestEpoch(slotFolder: string): Promise<EpochState | undefined> {
  const number = newestOf(await claimed(join(slotFolder, claimsName)))
  const found = await readClaim(slotFolder, number)
  if (found === undefined) return undefined
  const names = await readdir(gatePath(slotFolder, found.gate)).catch(undefinedIfGone)
  const paths = [join(slotFolder, claimsName, String(number)), gatePath(slotFolder, found.gate)]
  const [began = 0, beaten = 0] = await Promise.all(paths.map((path) => lstat(path).then(({ mtimeMs }) => mtimeMs, undefinedIfGone))) // prettier-ignore
  const beat = names === undefined ? undefined : (names.find((name) => beatForm.test(name)) ?? 'none yet')
  return { number, ...found, beat, livedMs: Math.max(0, beaten - began) }
}

/** Removes a gate. What is in it goes to the trash beside it, which takes no time. */
export async function closeGate(slotFolder: string, gate: string): Promise<void> {
  const number = Number(gateForm.exec(gate)?.[1])
  const folder = gatePath(slotFolder, gateName(number))
  // Under another name, its writer can reach it only where a network file system remembers its handle. It still looks like a gate: if this process
  // dies here, the next writer closes it.
  const isClosed = await rename(gatePath(slotFolder, gate), folder).then(
    () => false,
    (error: unknown) => undefinedIfGone(error) ?? true,
  )
  if (isClosed) return
  for (let round = 0; round < closingRounds; round++) {
    const names = await readdir(folder).catch(undefinedIfGone)
    if (names === undefined) return
    // Not unlinked: an NFS client would only give an open file another name in the same folder.
    for (const name of names) {
      const trash = gatePath(slotFolder, trashName(name))
      await rename(join(folder, name), trash).catch(undefinedIfGone)
      if (beatForm.test(name)) await rm(trash, { force: true, recursive: true })
    }
    try {
      await rmdir(folder)
      return await syncFolder(join(slotFolder, claimsName))
    } catch (error) {
      if (isGone(error)) return
      if (!isTaken(error)) throw error
    }
  }
  throw new ReprieveError('store-failed', `the folder of an earlier writer, ${folder}, could not be emptied`)
}

/** The errors of a call into a folder that was removed. */
export function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESTALE', 'ENOTDIR'].includes(errnoOf(error) ?? '')
}

/** The errors of rename(2) and rmdir(2) for a folder that has something in it. */
function isTaken(error: unknown): boolean {
  return ['ENOTEMPTY', 'EEXIST'].includes(errnoOf(error) ?? '')
}

function gateName(number: number): string {
  return `writer-${number}-${randomBytes(4).toString('hex')}`
}

async function claim(slotFolder: string, number: number, holder: Holder): Promise<Epoch | undefined> {
  const epoch = { number, gate: gateName(number) }
  const claims = join(slotFolder, claimsName)
  // Made whole under another name: a claim that can be seen names its writer, even if that one dies here.
  const draft = join(claims, `new-${randomBytes(8).toString('hex')}`)
  await mkdir(draft, { mode: folderMode })
  const { pod, uid, node, lock = '' } = holder
  for (const [key, value] of Object.entries({ gate: epoch.gate, pod, uid, node, lock }))
    if (value !== '') await mkdir(join(draft, `${key}=${encodeName(value)}`), { mode: folderMode })
  await syncFolder(draft)
  try {
    // rename(2) replaces no folder that has something in it.
    await rename(draft, join(claims, String(number)))
  } catch (error) {
    if (!isTaken(error) && !isGone(error)) throw error
    await rm(draft, { force: true, recursive: true })
    // A file server may have carried out a call whose answer was lost.
    if ((await readClaim(slotFolder, number))?.gate !== epoch.gate) return undefined
  }
  await syncFolder(claims)
  return epoch
}

/**
 * Each writer first claims and opens its gate, and looks at the others only then. So of two writers at least one sees the other. The listings
 * are fresh on NFS as well: a client that finds its own change preceded by a foreign one lists the folder anew.
 */
async function enter(slotFolder: string, epoch: Epoch): Promise<Epoch> {
  const claims = join(slotFolder, claimsName)
  await mkdir(gatePath(slotFolder, epoch.gate), { mode: folderMode })
  await beat(slotFolder, epoch)
  const numbers = await claimed(claims)
  if (newestOf(numbers) > epoch.number) {
    await closeGate(slotFolder, epoch.gate)
    throw new ReprieveError('lineage-fenced', `another pod took the lineage at the same time`)
  }
  for (const name of await readdir(claims)) {
    const number = Number(gateForm.exec(name)?.[1])
    if (number < epoch.number) await closeGate(slotFolder, name)
  }
  for (const number of numbers)
    if (number <= epoch.number - claimsKept)
      await rm(join(claims, String(number)), { force: true, recursive: true })
  return epoch
}

/** Not where it is there: mkdir(2) waits for the slot's folder, which a call that waits for a dead NFS client may have locked. */
async function makeClaims(claims: string, make: (claims: string) => Promise<void>): Promise<void> {
  if ((await readdir(claims).catch(undefinedIfGone)) === undefined) await make(claims)
}

async function claimed(claims: string): Promise<number[]> {
  const names = (await readdir(claims).catch(undefinedIfGone)) ?? []
  return names.filter((name) => /^[1-9]\d{0,14}$/.test(name)).map(Number)
}

function newestOf(numbers: readonly number[]): number {
  return numbers.reduce((most, number) => Math.max(most, number), 0)
}

/** The names may come from anyone. */
async function readClaim(
  slotFolder: string,
  number: number,
): Promise<{ gate: string; holder: Holder } | undefined> {
  const names = await readdir(join(slotFolder, claimsName, String(number))).catch(undefinedIfGone)
  const said = (key: string) => names?.find((name) => name.startsWith(`${key}=`))?.slice(key.length + 1) ?? ''
  const gate = said('gate')
  if (!isGate(gate)) return undefined
  const lock = said('lock')
  const holder = { pod: said('pod'), uid: said('uid'), node: said('node') }
  return { gate, holder: lock === 'none' || lock === 'node' ? { ...holder, lock } : holder }
}

function undefinedIfGone(error: unknown): undefined {
  if (isGone(error)) return undefined
  throw error
}
