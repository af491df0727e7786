import t from 'tap'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import type { Test } from 'tap'
import { fakeSidecar } from './fake-sidecar.ts'
import { launch } from './launcher.ts'

t.jobs = 8
// tap writes into the options, so each test gets its own
const beside = () => ({ buffered: true })

const prestop = (...hook: string[]) => ['prestop', '--container=app', '--budget-ms=20000', ...hook]
const hookRuns = prestop('--exec', '--', 'sh', '-c', 'echo hook; exit 4')

void t.test("asks for a checkpoint; when it was taken the user's hook does not run", beside(), async (t) => {
  const sidecar = await fakeSidecar(t)
  const launcher = launch(t, hookRuns, { env: sidecar.env })
  const talk = await sidecar.next()
  t.equal(await talk.next(), 'prestop container=app budget-ms=20000')
  talk.say('wait ms=10000', 'taken id=20260101T000000.000Z-01234567')
  const ending = await launcher.ended
  t.equal(ending.code, 0)
  t.equal(ending.stdout, '')
  t.equal(ending.stderr, '')
})

for (const [what, answer] of [
  ['no checkpoint was taken', 'failed reason=disk-full\n'],
  ['the sidecar says what nobody knows', 'dance\n'],
  ['a wait ran out', 'wait ms=200\n'],
  ['the sidecar says nothing', ''],
] as const)
  void t.test(`runs the user's hook, and exits with its status, when ${what}`, beside(), async (t) => {
    const sidecar = await fakeSidecar(t)
    const launcher = launch(t, hookRuns, { env: sidecar.env })
    const talk = await sidecar.next()
    await talk.next()
    talk.write(answer)
    const ending = await launcher.ended
    t.equal(ending.stdout, 'hook\n')
    t.equal(ending.code, 4)
  })

void t.test('asks again when the sidecar hangs up before its first word', beside(), async (t) => {
  const sidecar = await fakeSidecar(t)
  const launcher = launch(t, hookRuns, { env: sidecar.env })
  for (let count = 0; count < 3; count++) {
    const refused = await sidecar.next()
    await refused.next()
    refused.close()
  }
  const talk = await sidecar.next()
  t.equal(await talk.next(), 'prestop container=app budget-ms=20000')
  talk.say('taken id=20260101T000000.000Z-01234567')
  const ending = await launcher.ended
  t.equal(ending.code, 0)
  t.equal(ending.stdout, '')
})

void t.test("runs the user's hook when the sidecar hangs up, and when there is none", beside(), async (t) => {
  const sidecar = await fakeSidecar(t)
  const launcher = launch(t, hookRuns, { env: sidecar.env })
  const talk = await sidecar.next()
  await talk.next()
  talk.say('wait ms=20000')
  talk.close()
  t.equal((await launcher.ended).stdout, 'hook\n')
  const alone = await launch(t, hookRuns).ended
  t.equal(alone.stdout, 'hook\n')
  t.equal(alone.code, 4)
})

void t.test('without a hook there is nothing to do, which is well', beside(), async (t) => {
  t.equal((await launch(t, prestop()).ended).code, 0)
})

void t.test('sleeps as asked', beside(), async (t) => {
  const ending = await launch(t, prestop('--sleep=1')).ended
  t.equal(ending.code, 0)
  t.ok(ending.tookMs >= 1000, `took ${ending.tookMs} ms`)
})

type Seen = { url: string | undefined; headers: IncomingHttpHeaders }

async function httpServer(t: Test, status: number, host: string): Promise<{ port: number; seen: Seen[] }> {
  const seen: Seen[] = []
  const server = createServer((request, response) => {
    seen.push({ url: request.url, headers: request.headers })
    response.writeHead(status, { location: '/elsewhere' }).end('body')
  })
  server.listen(0, host)
  await once(server, 'listening')
  t.teardown(() => void server.close())
  return { port: (server.address() as AddressInfo).port, seen }
}

for (const [status, code] of [
  [200, 0],
  [204, 0],
  [302, 0],
  [399, 0],
  [400, 1],
  [500, 1],
] as const)
  void t.test(`an httpGet hook that is answered with ${status} exits ${code}`, beside(), async (t) => {
    const { port, seen } = await httpServer(t, status, '127.0.0.1')
    const ending = await launch(t, prestop(`--http-get=http://127.0.0.1:${port}/bye?now=1`)).ended
    t.equal(ending.code, code)
    t.equal(seen.length, 1, 'no redirect is followed')
    t.equal(seen[0]?.url, '/bye?now=1')
    t.equal(seen[0]?.headers.host, `127.0.0.1:${port}`)
    t.match(seen[0]?.headers['user-agent'], /^kube-lifecycle\//)
  })

void t.test("the user's headers are sent, and win", beside(), async (t) => {
  const { port, seen } = await httpServer(t, 200, '::1')
  const headers = ['--header=Host:app.example', '--header=X-Why:the end: now', '--header=User-Agent:mine']
  const ending = await launch(t, prestop(`--http-get=http://[::1]:${port}`, ...headers)).ended
  t.equal(ending.code, 0)
  t.equal(seen[0]?.url, '/')
  t.match(seen[0]?.headers, { host: 'app.example', 'x-why': 'the end: now', 'user-agent': 'mine' })
})

void t.test('a URL without host goes to this pod: its address, or the loopback', beside(), async (t) => {
  for (const host of ['0.0.0.0', '127.0.0.1']) {
    const { port, seen } = await httpServer(t, 200, host)
    const ending = await launch(t, prestop(`--http-get=http://:${port}/x`)).ended
    t.equal(ending.code, 0)
    t.equal(seen.length, 1)
  }
})

void t.test(
  'an httpGet hook exits 1, and says why, when nobody listens, hangs up or speaks otherwise',
  beside(),
  async (t) => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => socket.destroy())
      socket.once('data', (data: Buffer) =>
        data.includes('/hang-up') ? socket.destroy() : socket.end('SSH-2.0-OpenSSH\r\n'),
      )
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => void server.close())
    const port = (server.address() as AddressInfo).port
    for (const url of [
      `http://127.0.0.1:${port}/hang-up`,
      `http://127.0.0.1:${port}/ssh`,
      'http://127.0.0.1:1/',
      'gopher://x/',
      'http://[::1/',
    ]) {
      const ending = await launch(t, prestop(`--http-get=${url}`)).ended
      t.equal(ending.code, 1, url)
      t.match(ending.stderr.split('\n').at(-2), /^reprieve-launcher: .*(preStop)/, url)
    }
  },
)

void t.test('an interim answer is not the answer', beside(), async (t) => {
  const server = createTcpServer((socket) => {
    socket.once('data', () => socket.end('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\n\r\n'))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => void server.close())
  const port = (server.address() as AddressInfo).port
  t.equal((await launch(t, prestop(`--http-get=http://127.0.0.1:${port}/`)).ended).code, 1)
})

for (const [answer, code] of [
  ['fetched status=200', 0],
  ['fetched status=500', 1],
  ['failed reason=tls', 1],
  [undefined, 1],
] as const)
  void t.test(
    `an https hook is fetched by the sidecar: ${answer ?? 'which hangs up'}`,
    beside(),
    async (t) => {
      const sidecar = await fakeSidecar(t)
      const launcher = launch(t, prestop('--http-get=https://:8443/a b', '--header=X-A:1%'), {
        env: sidecar.env,
      })
      const talk = await sidecar.next()
      await talk.next()
      talk.say('failed reason=no')
      t.equal(await talk.next(), 'fetch url=https%3A%2F%2F%3A8443%2Fa%20b header=X-A%3A1%25')
      if (answer) talk.say(answer)
      else talk.close()
      t.equal((await launcher.ended).code, code)
    },
  )

void t.test('an https hook without a sidecar fails, and says so', beside(), async (t) => {
  const ending = await launch(t, prestop('--http-get=https://:8443/')).ended
  t.equal(ending.code, 1)
  t.match(ending.stderr, /https needs the sidecar/)
})
