/** Asks the real kernel through the real launcher. */
import { once } from 'node:events'
import { chmodSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { peerPidsOf } from '../../../sidecar/launcher-socket/peer-pids.ts'
import { launcherPath } from '../../launcher/launcher.ts'
import { until } from '../../until.ts'
import { quietLog } from '../quiet-log.ts'
import { peer, program, shortFolder } from '../stand-ins.ts'

/** Connects and stays as long as the connection. With `leave` it leaves the connection to a child and ends. */
const connecting = `
import os, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
if sys.argv[2] == 'leave' and os.fork() > 0: os._exit(0)
connection.send(b'here')
connection.recv(1)
`

async function listen(t: Test) {
  const path = `${shortFolder(t)}/s.sock`
  const sockets: Socket[] = []
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    socket.on('error', () => undefined)
    sockets.push(socket)
    t.teardown(() => socket.destroy())
  })
  server.listen(path)
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { path, sockets }
}

t.test('the kernel names the process behind each connection', async (t) => {
  const { path, sockets } = await listen(t)
  const child = await program(t, ['python3', '-c', connecting, path, 'stay'])
  await until('the child', () => sockets.length === 1)
  const { socket, said } = await peer(t, path)
  await until('both', () => sockets.length === 2)
  t.strictSame(await peerPidsOf(sockets, quietLog, launcherPath), [child.pid, process.pid])

  // The connections work on: nothing of them was read, and none became blocking.
  const [first, second] = sockets
  let heard = ''
  first?.on('data', (chunk) => (heard += String(chunk))).resume()
  await until('what the child said before', () => heard === 'here')
  for (let count = 0; count < 200; count++) second?.write('x'.repeat(10_000))
  second?.write('end')
  await until('all of it', () => said().length === 2_000_003)
  socket.destroy()
})

t.test('a connection that a dead process left to another one is nobody’s', async (t) => {
  const { path, sockets } = await listen(t)
  const child = await program(t, ['python3', '-c', connecting, path, 'leave'])
  await once(child, 'exit')
  await until('the connection', () => sockets.length === 1)
  t.strictSame(await peerPidsOf(sockets, quietLog, launcherPath), [-1])
})

t.test('where the kernel cannot be asked, nobody is known', async (t) => {
  const { path, sockets } = await listen(t)
  await peer(t, path)
  await until('the connection', () => sockets.length === 1)
  t.strictSame(await peerPidsOf(sockets, quietLog, '/nonexistent/launcher'), [-1])
})

t.test('a process outside the PID namespace of the one that asks has the number 0', async (t) => {
  const { path, sockets } = await listen(t)
  await peer(t, path)
  const child = await program(t, ['python3', '-c', connecting, path, 'leave'])
  await once(child, 'exit')
  await until('both connections', () => sockets.length === 2)
  const folder = t.testdir({ inside: `#!/bin/sh\nexec unshare --pid --fork ${launcherPath} "$@"\n` })
  chmodSync(`${folder}/inside`, 0o755)
  t.strictSame(
    await peerPidsOf(sockets, quietLog, `${folder}/inside`),
    [0, -1],
    'and one that has ended has none',
  )
})
