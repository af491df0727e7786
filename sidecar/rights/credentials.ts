/**
 * CRIU gives a process the credentials that its image names, and has the sidecar's capabilities to do so. The hashes of a checkpoint are no
 * signature: a person who writes the store can write images. So they are compared with what the container itself may have, as the launcher
 * has it that waits there.
 */
import { readFile, readdir } from 'node:fs/promises'
import { ReprieveError, describeError } from '../../src/errors.ts'
import type { EventLog } from '../../src/log.ts'
import type { Field } from '../criu/protobuf.ts'
import { fieldsIn, numbersIn, onlyEntryOf } from './strict-fields.ts'
import { keepFilters, threadOf, type Thread } from './own-filters.ts'

/** What a process of the container can come to have. */
export type Allowance = {
  /** Sets of capabilities, bit by bit (include/uapi/linux/capability.h). */
  bounding: bigint
  permitted: bigint
  uids: ReadonlySet<number>
  /** Supplementary ones among them. */
  gids: ReadonlySet<number>
  /** No program of another user can have been executed with that user's rights. */
  noNewPrivileges: boolean
  /** The number of its seccomp mode; 0 is none. */
  seccomp: number
  /** The name of its LSM profile, without the mode. */
  profile: string
}

/** images/core.proto: core_entry, task_core_entry and thread_core_entry; images/creds.proto: creds_entry. */
const core = { taskCore: 3, threadCore: 5 } as const
/** task_core_entry.task_state, and TASK_DEAD of compel/include/uapi/task-state.h. */
const taskState = 1
const dead = 2
const thread = { creds: 10 } as const
const creds = {
  uids: [1, 3, 5, 7],
  gids: [2, 4, 6, 8, 14],
  inheritable: 9,
  permitted: 10,
  effective: 11,
  bounding: 12,
  securebits: 13,
  profile: 15,
  socketProfile: 16,
  apparmorData: 17,
  noNewPrivileges: 18,
  ambient: 19,
} as const
/** capabilities(7): each frees its holder of one bound. */
const setgid = 1n << 6n
const setuid = 1n << 7n
const setpcap = 1n << 8n
/** SECBIT_KEEP_CAPS, the only bit that a process may set without CAP_SETPCAP. */
const keepCapabilities = 16

/**
 * Images by which CRIU would restore credentials that are not in a task's own image. Reprieve's CRIU writes none of them: `creds-` is of
 * versions before 1.6, `apparmor` is of profiles that a container has made for itself.
 */
const otherImages = /^(creds-\d+|apparmor)\.img$/

/**
 * Requires them, and gives each process the seccomp filters of its container.
 * @param had how many of its oldest filters were those of the container at the dump, as far as the manifest tells
 * @throws ReprieveError `unfit-credentials`
 */
export async function requireOwnCredentials(
  imagesFolder: string,
  { launcherPid, had }: { launcherPid: number; had: number | undefined },
  log: EventLog,
): Promise<void> {
  const allowance = await allowanceOf(launcherPid)
  const names = await readdir(imagesFolder)
  const threads = new Map<string, Thread>()
  for (const name of names.filter((one) => otherImages.test(one))) throw unfit(name, 'is not Reprieve’s')
  for (const name of names.filter((one) => one.startsWith('core-'))) {
    const image = await readFile(`${imagesFolder}/${name}`)
    const excess = excessIn(image, allowance)
    if (excess !== undefined) throw unfit(name, excess)
    if (allowance.seccomp > 0)
      threads.set(
        name,
        readOf(name, () => threadOf(image)),
      )
  }
  if (allowance.seccomp === 0) return
  await keepFilters(imagesFolder, { launcherPid, had, threads }, log).catch((error: unknown) => {
    throw unfit('seccomp.img', `cannot be given the filters of the container (${describeError(error)})`)
  })
}

function readOf<T>(name: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw unfit(name, `cannot be read (${describeError(error)})`)
  }
}

function unfit(name: string, excess: string): ReprieveError {
  const message = `the image ${name} of the checkpoint ${excess}: it is not restored`
  return new ReprieveError('unfit-credentials', message, { name, excess })
}

async function allowanceOf(launcherPid: number): Promise<Allowance> {
  const [status, profile] = await Promise.all([
    readFile(`/proc/${launcherPid}/status`, 'latin1'),
    readFile(`/proc/${launcherPid}/attr/current`, 'latin1').catch(() => ''),
  ])
  return parseAllowance(status, profile)
}

/**
 * @param status of /proc/PID/status, proc_pid_status(5)
 * @param profile of /proc/PID/attr/current
 */
export function parseAllowance(status: string, profile: string): Allowance {
  const text = (key: string) => new RegExp(`^${key}:[ \\t]*(.*)$`, 'm').exec(status)?.[1]?.trim() ?? ''
  const set = (key: string) => BigInt(`0x${text(key) || '0'}`)
  const numbers = (...keys: string[]) =>
    new Set(keys.flatMap((key) => text(key).split(/\s+/)).filter(Boolean).map(Number)) // prettier-ignore
  return {
    bounding: set('CapBnd'),
    permitted: set('CapPrm'),
    uids: numbers('Uid'),
    gids: numbers('Gid', 'Groups'),
    noNewPrivileges: text('NoNewPrivs') === '1',
    seccomp: Number(text('Seccomp') || 0),
    profile: withoutMode(profile),
  }
}

/** AppArmor appends its mode: `name (enforce)`. */
function withoutMode(profile: string): string {
  return profile
    .replaceAll('\0', '')
    .trim()
    .replace(/ \([a-z]+\)$/, '')
}

/**
 * What the image of a task has beyond its container's allowance; undefined for one that has nothing. What cannot be read for certain is
 * refused: CRIU could read it in another way.
 */
export function excessIn(image: Buffer, allowance: Allowance): string | undefined {
  try {
    const whole = fieldsIn(onlyEntryOf(image, 'task'))
    if (isZombie(whole)) return undefined
    const [task, ...more] = whole.filter((field) => field.number === core.threadCore)
    if (task === undefined || more.length > 0) return 'does not have one thread'
    const fields = fieldsIn(task.bytes)
    const [own, ...others] = fields.filter((field) => field.number === thread.creds)
    if (own === undefined || others.length > 0) return 'does not have one set of credentials'
    return excessOf(fieldsIn(own.bytes), allowance)
  } catch (error) {
    return `cannot be read (${describeError(error)})`
  }
}

/** One that its parent has not reaped: CRIU notes its name and exit code only, and restores a process that exits with it. */
function isZombie(fields: readonly Field[]): boolean {
  if (fields.some(({ number }) => number === core.threadCore)) return false
  const states = fields
    .filter(({ number }) => number === core.taskCore)
    .flatMap(({ bytes }) => fieldsIn(bytes))
    .filter(({ number }) => number === taskState)
    .flatMap(numbersIn)
  return states.length > 0 && states.every((state) => state === dead)
}

function excessOf(fields: readonly Field[], allowance: Allowance): string | undefined {
  const { bounding, permitted, noNewPrivileges } = allowance
  // Without no_new_privs a program of another user, set-user-id root at the most, can have been executed.
  const reachable = noNewPrivileges ? permitted : bounding
  const of = (...numbers: readonly number[]) => fields.filter((field) => numbers.includes(field.number))
  const values = (...numbers: readonly number[]) => of(...numbers).flatMap(numbersIn)
  const exceeds = (number: number, bound: bigint) => (setIn(values(number)) & ~bound) !== 0n
  for (const [name, number, bound] of [
    ['bounding', creds.bounding, bounding],
    ['permitted', creds.permitted, reachable],
    ['effective', creds.effective, reachable],
    ['inheritable', creds.inheritable, bounding],
    ['ambient', creds.ambient, reachable],
  ] as const)
    if (exceeds(number, bound)) return `has more ${name} capabilities than the container`
  const isFree = (capability: bigint) => !noNewPrivileges || (permitted & capability) !== 0n
  const uid = values(...creds.uids).find((one) => !allowance.uids.has(one))
  if (uid !== undefined && !isFree(setuid)) return `has the user id ${uid}, which the container cannot take`
  const gid = values(...creds.gids).find((one) => !allowance.gids.has(one))
  if (gid !== undefined && !isFree(setgid)) return `has the group id ${gid}, which the container cannot take`
  const bits = values(creds.securebits)
  if ((bounding & setpcap) === 0n && bits.some((value) => value !== 0 && value !== keepCapabilities))
    return 'has securebits that the container cannot set'
  const barred = values(creds.noNewPrivileges)
  if (noNewPrivileges && !(barred.length > 0 && barred.every((value) => value === 1)))
    return 'has no no_new_privs, unlike the container'
  const profiles = of(creds.profile, creds.socketProfile).map(({ bytes }) => bytes.toString('latin1'))
  if (profiles.some((profile) => withoutMode(profile) !== allowance.profile))
    return 'has another LSM profile than the container'
  // Whatever a later CRIU may restore beside these, this one would not have written.
  return fields.some(({ number }) => number === creds.apparmorData || number > creds.ambient)
    ? 'has credentials that Reprieve does not know'
    : undefined
}

/** Two words of 32 bits, the lower one first. */
function setIn(words: readonly number[]): bigint {
  if (words.length > 2) throw new Error('a set of capabilities is too long')
  return words.reduce((set, word, index) => set | (BigInt(word) << BigInt(32 * index)), 0n)
}
