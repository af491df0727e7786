/** The bundled GNU find, which walks the container's tree from inside its mount namespace: its arguments, and what it finds. */
import { createReadStream } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { mustRun, type CommandOptions } from '../proc/command.ts'
import { enterArgv, toolArgv } from '../setup/tools.ts'

/** Of `excluded` paths, folders are named, and nothing in them. */
export type Walk = {
  roots: readonly string[]
  mountPoints: readonly string[]
  excluded: readonly string[]
}

/** Walks each root without entering other mounts. `tests` apply to what is left; mount points themselves are never named. */
export function walkArguments({ roots, mountPoints, excluded }: Walk, ...tests: string[]): string[] {
  const skipped = [
    ...mountPoints.filter((path) => !roots.includes(path)).map((path) => ['-path', globOf(path)]),
    ...excluded.map((path) => ['-path', `${globOf(path)}/*`]),
    ...excluded.map((path) => ['-path', globOf(path), '!', '-type', 'd']),
  ]
  const prune: string[] = []
  for (const test of skipped) prune.push(...(prune.length === 0 ? [] : ['-o']), ...test)
  return [...roots, '-xdev', ...(prune.length === 0 ? [] : ['(', ...prune, ')', '-prune', '-o']), ...tests]
}

/** find(1) -path takes a glob, so each byte with a meaning there is escaped. */
function globOf(path: string): string {
  return path.replace(/[\\*?[\]]/g, '\\$&')
}

/** find's `-newerct` argument for an instant: an absolute time with fraction, by seconds since the epoch. */
export function instantArgument(ms: number): string {
  return `@${(ms / 1000).toFixed(3)}`
}

export type FindOptions = Pick<CommandOptions, 'log' | 'deadlineMs' | 'signal'> & {
  /** Any process in the mount namespace. */
  pid: number
  /** Where what is found is written first. */
  folder: string
}

/** Runs find and returns what it wrote, NUL-separated. Names are bytes: latin1 keeps each one. */
export async function findNames(options: FindOptions, args: readonly string[]): Promise<string[]> {
  const names: string[] = []
  await findEach(options, args, (name) => names.push(name))
  return names
}

/** The same where most are passed over: of a million names none is kept. What find writes comes by way of a file. */
export async function findEach(
  options: FindOptions,
  args: readonly string[],
  found: (name: string) => void,
): Promise<void> {
  const { pid, folder, ...run } = options
  const output = `${folder}/find.out`
  const file = await open(output, 'w', 0o600)
  try {
    const { stderr } = await mustRun(enterArgv(pid, ...toolArgv('find', ...args)), {
      ...run,
      stdio: ['ignore', file.fd, 'pipe'],
      // 1: something could not be read, e.g. a file of another container vanished meanwhile.
      okCodes: [0, 1],
    })
    let rest = ''
    for await (const chunk of createReadStream(output, { encoding: 'latin1', highWaterMark: chunkBytes })) {
      const names = (rest + String(chunk)).split('\0')
      rest = names.pop() ?? ''
      for (const name of names) found(name)
    }
    requireWhole(stderr, rest === '')
  } finally {
    await file.close()
    await rm(output, { force: true })
  }
}

const chunkBytes = 1 << 20

/**
 * find(1) exits with 1 both for a file that vanished meanwhile and when it could not write all it found.
 * @param isEnded what it has written ends with a NUL, or is nothing
 * @throws Error
 */
export function requireWhole(stderr: string, isEnded: boolean): void {
  if (/standard output|write error/.test(stderr) || !isEnded)
    throw new Error(`what find(1) found could not be written: ${stderr.trim().split('\n').at(-1) ?? ''}`)
}
