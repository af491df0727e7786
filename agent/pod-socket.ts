/**
 * The way to a sidecar: the Unix socket in the pod's own `reprieve` volume, which the kubelet made under the pod's UID. What is inside the
 * volume is the pod's to write, so no link in it is followed: each step is opened as what it must be, and the next one starts there.
 */
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'

/** Linux's; Node has no name for it. A handle that only names a file. */
const O_PATH = 0o10000000
const { O_DIRECTORY, O_NOFOLLOW } = constants

// @deadline A sidecar does not accept the node agent | It calls again
const connectMs = 5_000

/** @throws Error of the file system where there is no such socket, and where something else lies there */
export async function callSidecar(podsFolder: string, uid: string): Promise<Socket> {
  if (!/^[0-9a-f-]{32,36}$/.test(uid)) throw new Error(`${JSON.stringify(uid)} is no UID of a pod`)
  const handles: FileHandle[] = []
  const step = async (path: string, flags: number): Promise<string> => {
    const handle = await open(path, O_PATH | O_NOFOLLOW | flags)
    handles.push(handle)
    return `/proc/self/fd/${handle.fd}`
  }
  try {
    const volume = await step(`${podsFolder}/${uid}/volumes/kubernetes.io~empty-dir/reprieve`, O_DIRECTORY)
    const run = await step(`${volume}/run`, O_DIRECTORY)
    // Named by a handle, too: its whole path would be too long for a socket.
    const path = await step(`${run}/agent.sock`, 0)
    if (!(await handles[2]?.stat())?.isSocket()) throw new Error('agent.sock is no socket')
    return await connected(path)
  } finally {
    for (const handle of handles) await handle.close()
  }
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    const timer = setTimeout(() => socket.destroy(new Error(`no connection in ${connectMs} ms`)), connectMs)
    socket.once('connect', () => {
      clearTimeout(timer)
      resolve(socket.pause())
    })
    // It stays: whoever talks over the socket hears of its end by `close`.
    socket.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
  })
}
