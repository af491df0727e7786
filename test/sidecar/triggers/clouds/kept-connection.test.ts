/** A connection that is kept from one question to the next, and what becomes of it in between. */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { requestMetadata, type KeptConnection } from '../../../../sidecar/triggers/clouds/metadata-request.ts'
import { until } from '../../../until.ts'

const whole = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'

/** @param answer what is written for the nth question, over all connections; undefined: nothing */
async function service(t: Test, answer: (nth: number, socket: Socket) => string | undefined) {
  const sockets: Socket[] = []
  const questions: string[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      questions.push(chunk.toString('latin1'))
      const said = answer(questions.length, socket)
      if (said !== undefined) socket.write(said)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const endpoint = { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
  const kept: KeptConnection = { idle: undefined }
  const { signal } = new AbortController()
  const ask = (deadlineMs = 5_000) =>
    requestMetadata(endpoint, { method: 'GET', path: '/', headers: {}, deadlineMs, signal }, kept) // prettier-ignore
  return { ask, kept, sockets, questions }
}

t.test('ten questions are asked on one connection', async (t) => {
  const { ask, sockets, questions, kept } = await service(t, () => whole)
  for (let count = 0; count < 10; count++) t.match(await ask(), { status: 200, body: 'ok' })
  t.equal(sockets.length, 1)
  t.equal(questions.length, 10)
  t.match(questions[0], /\r\nconnection: keep-alive\r\n/)
  t.not(kept.idle, undefined)
})

for (const [what, said] of [
  ['says that it ends', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok'],
  ['is of the old kind', 'HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok'],
  ['has more behind it', `${whole}HTTP/1.1 200 OK\r\n`],
  ['comes in chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'],
] as const)
  t.test(`an answer that ${what} is the connection’s last`, async (t) => {
    const { ask, sockets } = await service(t, () => said)
    for (let count = 0; count < 2; count++) t.match(await ask(), { status: 200, body: 'ok' })
    t.equal(sockets.length, 2)
  })

t.test('what was closed meanwhile is made anew', async (t) => {
  const { ask, sockets, kept } = await service(t, () => whole)
  await ask()
  sockets[0]?.end()
  await until('it to be noticed', () => kept.idle === undefined)
  t.match(await ask(), { body: 'ok' })
  t.equal(sockets.length, 2)
})

for (const [what, spoil] of [
  ['closed', (socket: Socket) => void socket.end()],
  ['reset', (socket: Socket) => void socket.resetAndDestroy()],
  ['silent', () => undefined],
] as const)
  t.test(`what is ${what} when it is asked again is made anew within the same question`, async (t) => {
    const { ask, sockets } = await service(t, (nth, socket) => (nth === 2 ? spoil(socket) : undefined) ?? (nth === 2 ? undefined : whole)) // prettier-ignore
    await ask()
    t.match(await ask(), { body: 'ok' })
    t.equal(sockets.length, 2)
  })

t.test('a service that does not answer on a new connection either is late by its own deadline', async (t) => {
  const { ask } = await service(t, (nth) => (nth === 1 ? whole : undefined))
  await ask()
  const began = performance.now()
  await t.rejects(ask(1_500), { code: 'metadata-failed', data: { failure: 'late' } })
  t.ok(performance.now() - began > 1_400)
})

t.test('half an answer on a kept connection is garbage, not asked for twice', async (t) => {
  const { ask, questions } = await service(t, (nth, socket) => {
    if (nth === 1) return whole
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nok')
    return undefined
  })
  await ask()
  await t.rejects(ask(), { code: 'metadata-failed', data: { failure: 'garbage' } })
  t.equal(questions.length, 2)
})
