/**
 * Which SQLite databases a tree has open, and what their files are to it. SQLite remembers a file by device and inode
 * (`unixFileId`, src/os_unix.c): it refuses to write where the path leads to another inode ("attempt to write a readonly database"), and
 * connections of one process that know a file by two numbers do not see each other's locks.
 */
import { constants, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { open, readFile, readlink, stat, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { isDatabaseContent, isDatabaseName } from './database-files.ts'
import { parseDescriptor } from './file-uses.ts'

export type FileId = { dev: bigint; ino: bigint }
export type OpenDatabase = FileId & { pid: number; fd: number }

const file = 'open-databases.json'
const headerBytes = 16

/** Writes them beside the images. What cannot be looked at is no database. */
export async function noteOpenDatabases(pids: readonly number[], imagesFolder: string): Promise<void> {
  const found: OpenDatabase[] = []
  for (const pid of pids)
    for (const fd of writableFiles(pid)) {
      const id = await databaseIdOf(`/proc/${pid}/fd/${fd}`).catch(() => undefined)
      if (id !== undefined) found.push({ pid, fd, ...id })
    }
  if (found.length === 0) return
  const lines = found.map(({ pid, fd, dev, ino }) => ({ pid, fd, dev: String(dev), ino: String(ino) }))
  await writeFile(`${imagesFolder}/${file}`, JSON.stringify(lines), { mode: 0o600 })
}

/** @throws Error for what is no such list */
export async function notedDatabases(imagesFolder: string): Promise<OpenDatabase[]> {
  const text = await readFile(`${imagesFolder}/${file}`, 'utf8').catch(() => '[]')
  const lines = JSON.parse(text) as { pid: number; fd: number; dev: string; ino: string }[]
  return lines.map(({ pid, fd, dev, ino }) => ({
    pid: Number(pid),
    fd: Number(fd),
    dev: BigInt(dev),
    ino: BigInt(ino),
  }))
}

/** At once: /proc answers from memory, and a program may have a hundred thousand descriptors, most of which are no files. */
function writableFiles(pid: number): number[] {
  const held: number[] = []
  for (const fd of orElse(() => readdirSync(`/proc/${pid}/fd`), [])) {
    if (!/^\/(?!dev\/|proc\/)/.test(orElse(() => readlinkSync(`/proc/${pid}/fd/${fd}`), ''))) continue
    const { flags } = parseDescriptor(orElse(() => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'), ''))
    if ((flags & constants.O_RDWR) !== 0) held.push(Number(fd))
  }
  return held
}

/** @returns undefined for what is no database */
async function databaseIdOf(through: string): Promise<FileId | undefined> {
  // A named pipe would notice that somebody opens it.
  const stats = await stat(through, { bigint: true })
  if (!stats.isFile()) return undefined
  const handle = await open(through, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const header = Buffer.alloc(headerBytes)
    const { bytesRead } = await handle.read(header, 0, headerBytes, 0)
    const isDatabase = bytesRead === 0 ? isDatabaseName(await nameOf(through)) : isDatabaseContent(header)
    return isDatabase ? stats : undefined
  } finally {
    await handle.close()
  }
}

/** One that nothing was written to is empty. */
async function nameOf(through: string): Promise<string> {
  return basename(await readlink(through))
}

function orElse<T>(look: () => T, otherwise: T): T {
  try {
    return look()
  } catch {
    return otherwise
  }
}
