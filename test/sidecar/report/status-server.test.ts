import { get } from 'node:http'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { serveStatus, type StatusSource } from '../../../sidecar/report/status-server.ts'
import { quietLog } from '../quiet-log.ts'
import { peer } from '../stand-ins.ts'
import { freePort } from '../../free-port.ts'

async function serve(t: Test, source: Partial<StatusSource> = {}, host?: string, log = quietLog) {
  const port = await freePort()
  const server = await serveStatus(
    { port, host },
    { ready: () => true, status: () => ({ a: 'ä' }), metrics: () => 'a 1\n', ...source },
    log,
  )
  t.teardown(() => server?.close())
  return port
}

t.test('answers what is there, by HTTP that other clients understand', async (t) => {
  const port = await serve(t)
  const get = (path: string, method = 'GET') => fetch(`http://127.0.0.1:${port}${path}`, { method })
  t.equal((await get('/healthz')).status, 200)
  t.equal((await get('/readyz?verbose')).status, 200)
  const status = await get('/status')
  t.match(status.headers.get('content-type'), 'application/json')
  t.strictSame(await status.json(), { a: 'ä' })
  const metrics = await get('/metrics')
  t.match(metrics.headers.get('content-type'), 'text/plain; version=0.0.4')
  t.equal(await metrics.text(), 'a 1\n')
  t.equal((await get('/')).status, 404)
  t.equal((await get('/status/../etc/passwd')).status, 404)
  t.equal((await get('/healthz', 'POST')).status, 405)
})

/** Of the loopback network only 127.0.0.1 counts as the pod itself: a mesh's proxy passes others on from 127.0.0.6. */
function fromElsewhere(port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', localAddress: '127.0.0.6', port, path, timeout: 2_000 }
    get(options, (answer) => resolve(answer.resume().statusCode ?? 0)).on('error', reject)
  })
}

t.test(
  'tells its metrics, and nothing else, to whoever is not in the pod, where that is wanted',
  async (t) => {
    const port = await serve(t, {}, '0.0.0.0')
    t.equal(await fromElsewhere(port, '/metrics'), 200)
    for (const path of ['/status', '/healthz', '/readyz', '/'])
      t.equal(await fromElsewhere(port, path), 403, path)
    t.equal((await fetch(`http://127.0.0.1:${port}/status`)).status, 200)
  },
)

const fails = () => {
  throw new RangeError('Invalid time value')
}

t.test(
  'an answer that cannot be made is a fault of its own, told in one line, and no other suffers',
  async (t) => {
    const lines: string[] = []
    const circle: { itself?: unknown } = {}
    circle.itself = circle
    for (const [path, source] of [
      ['/status', { status: fails }],
      ['/status', { status: () => circle }],
      ['/metrics', { metrics: fails }],
      ['/readyz', { ready: fails }],
    ] as const) {
      const port = await serve(t, source, undefined, pino({}, { write: (line) => lines.push(line) }))
      const answer = await fetch(`http://127.0.0.1:${port}${path}`)
      t.equal(answer.status, 500, path)
      t.equal(await answer.text(), 'this cannot be told: the log says why\n')
      t.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200)
      t.match(lines.splice(0).map((line) => JSON.parse(line) as unknown), [{ path, msg: 'a request for the status could not be answered', err: Object }]) // prettier-ignore
    }
  },
)

t.test('is not ready until it is', async (t) => {
  const port = await serve(t, { ready: () => false })
  t.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 503)
  t.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200)
})

t.test('ends a request that is too long, or drips in, or never comes', async (t) => {
  const port = await serve(t)
  const huge = await peer(t, port)
  huge.socket.write(`GET /healthz HTTP/1.1\r\n${'x'.repeat(10_000)}`)
  await huge.ended
  t.equal(huge.said(), '')

  const [idle, slow] = await Promise.all([peer(t, port), peer(t, port)])
  slow.socket.write('GET /heal')
  const drip = setInterval(() => slow.socket.write('x'), 200)
  // However often a byte comes.
  await Promise.all([idle.ended, slow.ended])
  clearInterval(drip)
})

t.test('takes garbage for what it is, and answers once', async (t) => {
  const port = await serve(t)
  const garbage = await peer(t, port)
  garbage.socket.write('\0\0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n')
  await garbage.ended
  t.match(garbage.said(), /^HTTP\/1\.1 405 /)
  t.equal(garbage.said().split('HTTP/1.1').length, 2)
})

t.test('does without a port that is taken, or that is not wanted', async (t) => {
  const source = { ready: () => true, status: () => ({}), metrics: () => '' }
  t.equal(await serveStatus({ port: await serve(t) }, source, quietLog), undefined)
  t.equal(await serveStatus({ port: 0 }, source, quietLog), undefined)
})
