import { stat } from 'node:fs/promises'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import type { FromLauncher } from '../../../sidecar/launcher-socket/launcher-messages.ts'
import {
  listenForLaunchers,
  type LauncherConnection,
} from '../../../sidecar/launcher-socket/launcher-server.ts'
import { quietLog } from '../quiet-log.ts'
import { peer, shortFolder, type Peer } from '../stand-ins.ts'
import { until } from '../../until.ts'

async function listen(t: Test) {
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
  const server = await listenForLaunchers(path, listener, quietLog)
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

t.test('stays reachable behind more connections than a pod can need', async (t) => {
  const { path, heard } = await listen(t)
  const peers: Peer[] = []
  for (let count = 0; count < 300; count++) peers.push(await peer(t, path))
  await until('those beyond the limit to be turned away', () =>
    peers.slice(256).every(({ socket }) => socket.destroyed),
  )
  for (const { socket } of peers.slice(0, 200)) socket.destroy()
  await Promise.all(peers.slice(0, 200).map(({ ended }) => ended))
  await until('a place', async () => {
    const { socket } = await peer(t, path)
    socket.write('adopted\n')
    await Promise.race([once(socket, 'close'), new Promise((resolve) => setTimeout(resolve, 50))])
    return heard.length > 0
  })
  t.ok(heard.length > 0)
})
