/**
 * What init containers of this pod have put into its volumes: a token, an address, settings of today. It wins over what those of the
 * old pod had put there under the same name, where the application neither changed that nor holds it open.
 */
import { open, readFile, rm, writeFile } from 'node:fs/promises'
import { errnoOf } from '../../src/errors.ts'
import { mustRun } from '../proc/command.ts'
import { startByClockOf } from '../proc/process-tree.ts'
import { enterArgv, toolArgv } from '../setup/tools.ts'
import { archiveFiles } from './archive.ts'
import { instantArgument, requireWhole } from './find.ts'
import type { EventLog } from '../../src/log.ts'

const firstStartName = 'first-start'

/** Notes once when the container's first launcher in this pod began: files that are newer may be an earlier life's own work. */
export async function noteFirstStart(runFolder: string, launcherPid: number): Promise<void> {
  const text = String(await startByClockOf(launcherPid))
  await writeFile(`${runFolder}/${firstStartName}`, text, { flag: 'wx' }).catch((error: unknown) => {
    if (errnoOf(error) !== 'EEXIST') throw error
  })
}

/** @returns 0, before which no file is, where it was not noted */
export async function firstStartOf(runFolder: string): Promise<number> {
  const text = await readFile(`${runFolder}/${firstStartName}`, 'latin1').catch(() => '')
  return Number(text) || 0
}

export type FreshOptions = {
  /** Any process of the container. */
  pid: number
  /** The checkpoint's folder in the staging volume. */
  folder: string
  /** The paths of all files that the application held, as bytes in latin1. */
  held: () => Promise<ReadonlySet<string>>
  /** When the pod's first launcher of this container began, by the clock of files. */
  firstStart: () => Promise<number>
  deadlineMs: number
  signal: AbortSignal
  log: EventLog
}

/** Names of files, as bytes in latin1, that are to stay as they are in this container. */
export async function freshFiles(options: FreshOptions): Promise<ReadonlySet<string>> {
  // Checkpoints of earlier releases have no such list.
  const list = await readFile(`${options.folder}/${archiveFiles.unchanged}`, 'latin1').catch(() => '')
  if (list === '') return new Set()
  const held = await options.held()
  // What tar would take for another name in its list of exceptions is unpacked.
  const names = list.split('\0').filter((name) => name !== '' && !held.has(name) && !/\n|\s$/.test(name))
  return names.length === 0 ? new Set() : new Set(await olderThanLauncher(options, names))
}

/** Those of the names that are there, and were before the container's first launcher in this pod: init containers end before it begins. */
async function olderThanLauncher(options: FreshOptions, names: readonly string[]): Promise<string[]> {
  const [input, output] = [`${options.folder}/fresh-in.list`, `${options.folder}/fresh-out.list`]
  await writeFile(input, Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1'))
  const [from, to] = [await open(input, 'r'), await open(output, 'w+')]
  try {
    const since = instantArgument(await options.firstStart())
    const tests = [
      '-maxdepth',
      '0',
      '(',
      '-type',
      'f',
      '-o',
      '-type',
      'l',
      ')',
      '!',
      '-newerct',
      since,
      '-print0',
    ]
    const find = toolArgv('find', '-files0-from', '/proc/self/fd/3', ...tests)
    const { stderr } = await mustRun(enterArgv(options.pid, ...find), {
      ...options,
      stdio: ['ignore', to.fd, 'pipe', from.fd],
      // 1: a name that is not there in this pod.
      okCodes: [0, 1],
    })
    const found = await readFile(output, 'latin1')
    requireWhole(stderr, found === '' || found.endsWith('\0'))
    return found.split('\0').filter((name) => name !== '')
  } finally {
    await Promise.all([from.close(), to.close()])
    await Promise.all([input, output].map((path) => rm(path, { force: true })))
  }
}
