import { stat } from 'node:fs/promises'
import t, { type Test } from 'tap'
import type { FromLauncher } from '../../../sidecar/launcher-socket/launcher-messages.ts'
import {
  listenForLaunchers,
  type LauncherConnection,
} from '../../../sidecar/launcher-socket/launcher-server.ts'
import type { LauncherProcess, PeersOf } from '../../../sidecar/launcher-socket/launcher-process.ts'
import { quietLog } from '../quiet-log.ts'
import { peer, shortFolder, type Peer } from '../stand-ins.ts'
import { until } from '../../until.ts'

const launcherOf = (container: string): LauncherProcess => ({ pid: 2, mode: 'run', container })
const everyone = async (sockets: readonly unknown[]) => sockets.map(() => launcherOf('app'))

async function listen(t: Test, peersOf: PeersOf = everyone) {
  const path = `${shortFolder(t)}/s.sock`
  const heard: FromLauncher[] = []
  const connections = new Set<LauncherConnection>()
  let closed = 0
  const listener = {
    message(connection: LauncherConnection, message: FromLauncher) {
      connections.add(connection)
      heard.push(message)
    },
    closed() {
      closed++
    },
  }
  const server = await listenForLaunchers(path, listener, peersOf, quietLog)
  t.teardown(() => server.close())
  return { path, heard, connections, closed: () => closed, server }
}

t.test('anyone in the pod can connect', async (t) => {
  const { path } = await listen(t)
  t.equal((await stat(path)).mode & 0o777, 0o666)
})

t.test('takes the place of a socket that an earlier life left behind', async (t) => {
  const { path, server } = await listen(t)
  const again = await listenForLaunchers(
    path,
    { message: () => undefined, closed: () => undefined },
    everyone,
    quietLog,
  )
  t.ok(again.listening)
  again.close()
  server.close()
})

t.test('hears lines however they are cut, and answers', async (t) => {
  const { path, heard, connections } = await listen(t)
  const { socket, said } = await peer(t, path)
  socket.write('gone co')
  await new Promise((resolve) => setTimeout(resolve, 20))
  socket.write('de=1\nadopted\nstarted ro')
  await until('two lines', () => heard.length === 2)
  socket.write('ot=7\n')
  await until('three lines', () => heard.length === 3)
  t.strictSame(heard, [{ verb: 'gone', code: 1 }, { verb: 'adopted' }, { verb: 'started', root: 7 }])
  for (const connection of connections) connection.say({ verb: 'hold' })
  await until('the answer', () => said() === 'hold\n')
})

t.test('turns away garbage, and hears nothing that follows it', async (t) => {
  const { path, heard, closed } = await listen(t)
  const { socket, ended } = await peer(t, path)
  socket.write('\0\xff\x01garbage\ngone code=0\n')
  await ended
  await until('the end', () => closed() === 1)
  t.strictSame(heard, [])
})

t.test('turns away a line without end, and one that is too long', async (t) => {
  const { path, heard } = await listen(t)
  const endless = await peer(t, path)
  endless.socket.write('gone code=1 '.padEnd(5_000, 'x'))
  await endless.ended
  const long = await peer(t, path)
  long.socket.write(`${'gone code=1 a='.padEnd(5_000, 'x')}\n`)
  await long.ended
  t.strictSame(heard, [])
})

t.test('drops a peer that asks and does not read, and forgets what it was told', async (t) => {
  const { path, connections, closed } = await listen(t)
  const { socket } = await peer(t, path)
  socket.pause()
  socket.write('adopted\n')
  await until('the message', () => connections.size === 1)
  const [connection] = connections
  for (let count = 0; count < 100_000; count++) connection?.say({ verb: 'wait', ms: 10_000 })
  t.equal(connection?.closed, true)
  await until('the end', () => closed() === 1)
  t.doesNotThrow(() => connection?.say({ verb: 'start' }), 'words to one that is gone are lost')
})

t.test('hears nothing of a peer that the kernel does not name as a launcher', async (t) => {
  const { path, heard, closed } = await listen(t, async (sockets) => sockets.map(() => undefined))
  const { socket, ended } = await peer(t, path)
  socket.write('gone code=0\n')
  await ended
  t.strictSame(heard, [])
  t.equal(closed(), 0)
})

t.test('closes connections when nobody can tell whose they are', async (t) => {
  const { path } = await listen(t, () => Promise.reject(new Error('no process can be started')))
  await (
    await peer(t, path)
  ).ended
  await (
    await peer(t, path)
  ).ended
})

t.test('a launcher comes through after any number of silent strangers', async (t) => {
  let next: LauncherProcess | undefined
  const { path, heard } = await listen(t, async (sockets) => sockets.map(() => next))
  const strangers: Peer[] = []
  for (let count = 0; count < 300; count++) strangers.push(await peer(t, path))
  await Promise.all(strangers.map(({ ended }) => ended))
  next = launcherOf('app')
  const { socket } = await peer(t, path)
  socket.write('adopted\n')
  await until('the launcher', () => heard.length === 1)
})

t.test('no container takes the connections of another', async (t) => {
  let container = 'greedy'
  const { path, heard } = await listen(t, async (sockets) => sockets.map(() => launcherOf(container)))
  const greedy: Peer[] = []
  for (let count = 0; count < 20; count++) greedy.push(await peer(t, path))
  await until('those beyond its number to be refused', () =>
    greedy.slice(8).every(({ socket }) => socket.destroyed),
  )
  container = 'app'
  const { socket } = await peer(t, path)
  socket.write('adopted\n')
  await until('the other container', () => heard.length === 1)
  container = 'greedy'
  greedy[0]?.socket.destroy()
  await until('a place', async () => {
    const again = await peer(t, path)
    again.socket.write('adopted\n')
    await Promise.race([again.ended, new Promise((resolve) => setTimeout(resolve, 50))])
    return heard.length > 1
  })
})
