/** Who resizes a pod's containers in place, behind the socket that the sidecar asks by (sidecar/triggers/memory/resource-grower.ts). */
import { closeSync, existsSync, openSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Pod } from '../harness/pod.ts'
import type { ResizeOutcome } from '../harness/resize.ts'
import { deadlineMs } from './support.ts'

export const resizeSocket = '/reprieve/run/resize.sock'

export type Resizing = { container: string; limitBytes: number }

/** `became`: what the kubelet made of each that was asked for; the API accepts also what is deferred. */
export type Resizer = { readonly asked: Resizing[]; readonly became: ResizeOutcome[] }

/** @param answer instead of the resize: `'silence'` for none, or a reason to refuse it */
export async function startResizer(
  t: Test,
  pod: Pod,
  answer?: { refuse: string } | 'silence',
): Promise<Resizer> {
  const asked: Resizing[] = []
  const became: ResizeOutcome[] = []
  const run = join(pod.volumeFolder('reprieve'), 'run')
  await pod.awaits('the folder of sockets', deadlineMs, () => existsSync(run) || undefined)
  // The path would be too long for a socket's name.
  const folder = openSync(run, 'r')
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.setEncoding('utf8')
    socket.on('error', () => undefined)
    socket.once('data', (line: string) => {
      const resizing = JSON.parse(line) as Resizing
      asked.push(resizing)
      if (answer === 'silence') return
      const resized =
        answer === undefined
          ? pod.resize(resizing.container, resizing.limitBytes)
          : Promise.reject(new Error(answer.refuse))
      resized
        .then(
          (outcome) => {
            became.push(outcome)
            return { accepted: true }
          },
          (error: Error) => ({ refused: error.message }),
        )
        .then((value) => socket.end(`${JSON.stringify(value)}\n`))
    })
  })
  await listen(server, `/proc/self/fd/${folder}/resize.sock`)
  // Whoever asked may have ended, or stand still, without having closed its end.
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
    closeSync(folder)
  })
  return { asked, became }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
}
