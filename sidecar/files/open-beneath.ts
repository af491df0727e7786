/** Files of another mount namespace, opened without following a symbolic link anywhere on their path. */
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { basename, dirname } from 'node:path'

export type Opened = { file: FileHandle; folder: FileHandle; name: string }

/**
 * Opens a file as a process of the container sees it, and its folder, for as long as the work takes.
 * @param access constants.O_RDONLY or O_RDWR
 */
export async function withFile<Out>(
  pid: number,
  path: string,
  access: number,
  work: (opened: Opened) => Promise<Out>,
): Promise<Out> {
  const folder = await openBeneath(`/proc/${pid}/root`, dirname(path))
  try {
    // Without O_NONBLOCK a pipe that somebody put in its place could hold us up.
    const flags = access | constants.O_NOFOLLOW | constants.O_NONBLOCK
    const name = basename(path)
    const file = await open(`/proc/self/fd/${folder.fd}/${name}`, flags)
    try {
      return await work({ file, folder, name })
    } finally {
      await file.close()
    }
  } finally {
    await folder.close()
  }
}

/**
 * Opens a folder of another mount namespace component by component, never through a symbolic link: an absolute one would be
 * resolved against our own root, and a hostile application could have us cut files of ours.
 */
async function openBeneath(root: string, path: string): Promise<FileHandle> {
  const components = path.split('/').filter((name) => name !== '')
  if (components.includes('..')) throw new Error('its path holds ..')
  let at = await open(root, constants.O_RDONLY | constants.O_DIRECTORY)
  for (const component of components) {
    const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
    const next = await open(`/proc/self/fd/${at.fd}/${component}`, flags).finally(() => at.close())
    at = next
  }
  return at
}
