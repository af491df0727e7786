/**
 * The restored tree is no child of the container's entry process, so it inherits none of the seccomp filters that the runtime has put on the
 * container; CRIU installs what the images name. So the container's own filters, read off the waiting launcher, take the place of those of
 * the earlier container. They are not compared with these: runc puts the parts for each architecture in random order (a Go map in its
 * patchbpf package), so that equal profiles make different programs. The kernel asks all filters and obeys the strictest, so that
 * whoever writes images can only add to them.
 */
import { open, readFile, rm } from 'node:fs/promises'
import type { EventLog } from '../../src/log.ts'
import { volumePaths } from '../../src/volume.ts'
import { AddedFilters, chainsIn, type Chain, type Filter } from './filter-image.ts'
import { entriesOf, rewriteOnlyMessage } from '../criu/image-entries.ts'
import { encodeMessage, encodeNumber } from '../criu/protobuf.ts'
import { fieldsIn, magicLength, numbersIn, onlyEntryOf, optionalNumber } from './strict-fields.ts'
import { mustRun } from '../proc/command.ts'

/** What the image of a thread says; no `state` for a process that only waits to be reaped. */
export type Thread = { state?: { mode: number; start: number | undefined } }

/** images/core.proto: core_entry, task_core_entry and thread_core_entry; images/pstree.proto: pstree_entry. */
const core = { task: 3, thread: 5 } as const
/** Of images before CRIU 3.13: they take the place of those of the first thread. */
const old: ReadonlySet<number> = new Set([11, 12])
const own = { mode: 11, start: 12 } as const
const tree = { pid: 1, threads: 5 } as const
/** linux/seccomp.h. `shared` (TSYNC) has a thread give its filters to all threads of the process. */
const modes = { none: 0, filters: 2 } as const
const flags = { shared: 1, log: 2 } as const

// @deadline The waiting launcher's seccomp filters cannot be read | The checkpoint is passed over (`unfit-credentials`)
const deadlineMs = 10_000

/** @throws Error for what CRIU does not write */
export function threadOf(image: Buffer): Thread {
  const fields = fieldsIn(onlyEntryOf(image, 'task'))
  const of = (number: number) =>
    fields.filter((field) => field.number === number).flatMap(({ bytes }) => fieldsIn(bytes))
  if (of(core.task).some(({ number }) => old.has(number))) throw new Error('it has filters of an old form')
  if (!fields.some(({ number }) => number === core.thread)) return {}
  const thread = of(core.thread)
  const mode = optionalNumber(thread, own.mode) ?? modes.none
  return { state: { mode, start: mode === modes.none ? undefined : optionalNumber(thread, own.start) } }
}

/**
 * @param threads by the name of their image
 * @param had how many of the oldest filters were those of the container at the dump; what is not known is put under all of them
 * @throws Error where the images cannot be trusted to be read as CRIU reads them
 */
export async function keepFilters(
  imagesFolder: string,
  from: { launcherPid: number; had: number | undefined; threads: ReadonlyMap<string, Thread> },
  log: EventLog,
): Promise<void> {
  const { launcherPid, had, threads } = from
  const base = await filtersOf(launcherPid, `${imagesFolder}.filters`, log)
  const processes = processesIn(await readFile(`${imagesFolder}/pstree.img`), threads)
  const file = `${imagesFolder}/seccomp.img`
  const message = onlyEntryOf(await readFile(file), 'filters')
  const { changed, added } = withBase({ base, had, processes, message })
  if (changed.size === 0) return
  // What the other images name stays where it is: between two of these writes, each of them is as good as before.
  await rewriteOnlyMessage(file, magicLength, (whole) => Buffer.concat([whole, added]))
  for (const [name, start] of changed)
    await rewriteOnlyMessage(`${imagesFolder}/${name}`, magicLength, (whole) => withStart(whole, start))
  log.info(
    { event: 'restore.filters_added', filters: base.length, threads: changed.size },
    'the container has other seccomp filters than the checkpoint: its processes get those of the container',
  )
}

/** The oldest first. */
async function filtersOf(pid: number, file: string, log: EventLog): Promise<Chain> {
  const output = await open(file, 'w', 0o600)
  try {
    const stdio = ['ignore', output.fd, 'pipe'] as const
    await mustRun([volumePaths.launcher, 'filters', `--pid=${pid}`], { log, deadlineMs, stdio: [...stdio] })
    return parseFilters(await readFile(file, 'latin1'))
  } finally {
    await output.close()
    await rm(file, { force: true })
  }
}

/** @throws Error where there is none */
export function parseFilters(text: string): Chain {
  const filters = [...text.matchAll(/^(\d+) ((?:[0-9a-f]{16})+)$/gm)].map(
    ([, number, program = '']) =>
      ({ flags: Number(number), program: Buffer.from(program, 'hex') }) satisfies Filter,
  )
  if (filters.length === 0) throw new Error('the launcher named no filter')
  return filters
}

/** The names of each process's images of threads, the first one's first. */
export function processesIn(image: Buffer, threads: ReadonlyMap<string, Thread>): [string, Thread][][] {
  const seen = new Set<string>()
  const processes = [...entriesOf(image, 'processes')].map((entry) => {
    const fields = fieldsIn(entry)
    const pid = optionalNumber(fields, tree.pid) ?? 0
    if (isEnded(threads.get(`core-${pid}.img`))) return []
    const tids = fields.filter(({ number }) => number === tree.threads).flatMap(numbersIn)
    if (pid === 0 || tids[0] !== pid) throw new Error(`process ${pid} does not begin with its first thread`)
    return tids.map((tid): [string, Thread] => {
      const name = `core-${tid}.img`
      const thread = threads.get(name)
      if (thread?.state === undefined || seen.has(name)) throw new Error(`${name} is not of one thread`)
      seen.add(name)
      return [name, thread]
    })
  })
  return processes.filter((one) => one.length > 0)
}

function isEnded(thread: Thread | undefined): boolean {
  return thread !== undefined && thread.state === undefined
}

type Images = {
  base: Chain
  had?: number | undefined
  processes: readonly (readonly [string, Thread][])[]
  message: Buffer
}

/** @returns where the chain of each changed thread begins, and what to put behind the message of `seccomp.img` */
export function withBase({ base, had, processes, message }: Images): {
  changed: Map<string, number>
  added: Buffer
} {
  const read = chainsIn(message)
  const image = new AddedFilters(message)
  const changed = new Map<string, number>()
  for (const threads of processes) {
    const chains = threads.map(([, { state }]) => chainOf(state, read))
    for (const [index, chain] of confined(chains, base, had).entries()) {
      const start = isSame(chain, chains[index] ?? []) ? undefined : image.add(chain)
      if (start !== undefined) changed.set(threads[index]?.[0] ?? '', start)
    }
  }
  return { changed, added: image.bytes() }
}

function chainOf(state: Thread['state'], read: (start: number) => Chain): Chain {
  if (state === undefined || state.mode === modes.none) return []
  // The strict mode is for programs that have no filters: none of this container can have entered it.
  if (state.mode !== modes.filters || state.start === undefined) throw new Error('a thread has no filters')
  return read(state.start)
}

/** @param chains of the threads of one process */
function confined(chains: readonly Chain[], base: Chain, had: number | undefined): Chain[] {
  const [first = [], ...others] = chains
  // CRIU notes filters that all threads share for the first one only, which gives them to the others.
  const isShared =
    others.every((one) => one.length === 0) && first.every((one) => (one.flags & flags.shared) !== 0)
  return chains.map((chain, index) => {
    if (isShared && index > 0) return []
    const under =
      had === undefined
        ? base.filter((one) => !chain.some(({ program }) => program.equals(one.program)))
        : base
    // Shared by one thread while another has filters of its own, none of them would be installed, and CRIU would not notice.
    return [...under, ...chain.slice(had ?? 0)].map((one) => ({
      program: one.program,
      flags: (one.flags & flags.log) | (isShared ? flags.shared : 0),
    }))
  })
}

function isSame(one: Chain, other: Chain): boolean {
  return (
    one.length === other.length &&
    one.every(
      ({ program, flags: own }, index) =>
        other[index]?.program.equals(program) === true && other[index].flags === own,
    )
  )
}

function withStart(message: Buffer, start: number): Buffer {
  const parts = fieldsIn(message).map(({ number, raw, bytes }) => {
    if (number !== core.thread) return raw
    const kept = fieldsIn(bytes).filter((field) => field.number !== own.mode && field.number !== own.start)
    const added = [encodeNumber(own.mode, modes.filters), encodeNumber(own.start, start)]
    return encodeMessage(core.thread, Buffer.concat([...kept.map((field) => field.raw), ...added]))
  })
  return Buffer.concat(parts)
}
