import t from 'tap'
import { createConnection, createServer, type Socket } from 'node:net'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fakeSidecar, type Connection, type FakeSidecar } from './fake-sidecar.ts'
import { launch, scratch } from './launcher.ts'
import { until } from '../until.ts'

// Most of each test is waiting, so they run beside each other.
t.jobs = 8
// tap writes into the options, so each test gets its own
const beside = () => ({ buffered: true })

const run = ['run', '--container=app', '--', 'echo', 'alive']
const impatient = ({ env }: FakeSidecar) => ({ ...env, REPRIEVE_PATIENCE_MS: '300' })

void t.test('starts the application when there is no socket, after its patience', beside(), async (t) => {
  const ending = await launch(t, run, { env: { REPRIEVE_PATIENCE_MS: '300' } }).ended
  t.equal(ending.stdout, 'alive\n')
  t.equal(ending.code, 0)
  t.ok(ending.tookMs >= 300, `took ${ending.tookMs} ms`)
  t.match(ending.stderr, /reprieve-launcher: no verdict from the sidecar/)
})

/** Each answers every connection; whatever it does, the application must run and its code be given. */
const sidecars: Record<string, (talk: Connection) => void | Promise<void>> = {
  'says nothing': () => {},
  'asks for time and then says nothing': (talk) => talk.say('wait ms=100'),
  'sends an unknown verb': (talk) => talk.say('dance'),
  'sends bytes without meaning': (talk) => talk.write(Buffer.from([0, 1, 254, 255, 10, 10, 0])),
  'sends a line without end': (talk) => talk.write('x'.repeat(100_000)),
  'sends a wait that is no number': (talk) => talk.say('wait ms=-5'),
  'sends a verdict cut off in its middle': (talk) => {
    talk.write('star')
    talk.close()
  },
  'closes at once': (talk) => talk.close(),
  'closes after the first line': async (talk) => {
    await talk.next()
    talk.close()
  },
  'closes after asking for time': async (talk) => {
    await talk.next()
    talk.say('wait ms=200')
    await sleep(20)
    talk.close()
  },
  'says start and closes': (talk) => {
    talk.say('start')
    setTimeout(() => talk.close(), 20)
  },
  'wants a tree adopted that is not there': (talk) =>
    talk.say('adopt root=4194300 supervisor=4194301 status=/nonexistent'),
}

for (const [what, answer] of Object.entries(sidecars))
  void t.test(`starts the application under a sidecar that ${what}`, beside(), async (t) => {
    const sidecar = await fakeSidecar(t)
    const answering = (async () => {
      for (;;) {
        const talk = await sidecar.next()
        await answer(talk)
      }
    })().catch(() => 'the test is over')
    const ending = await launch(t, run, { env: impatient(sidecar) }).ended
    t.equal(ending.stdout, 'alive\n', 'ran once')
    t.equal(ending.code, 0)
    void answering
  })

void t.test('starts the application when nobody accepts and the queue is full', beside(), async (t) => {
  const path = join(scratch(t), 'sidecar.sock')
  const listen = `require('net').createServer().listen({ path: '${path}', backlog: 1 }, () => console.log('up'))`
  const hung = launch(t, ['-e', listen], { file: process.execPath })
  await until('it listens', () => hung.output().includes('up'))
  hung.child.kill('SIGSTOP')
  const waiting = Array.from({ length: 4 }, () => createConnection(path).on('error', () => {}))
  t.teardown(() => waiting.forEach((socket) => socket.destroy()))
  await sleep(100)
  const ending = await launch(t, run, { env: { REPRIEVE_SOCKET: path } }).ended
  t.equal(ending.stdout, 'alive\n')
})

void t.test('a wait moves the deadline', beside(), async (t) => {
  const sidecar = await fakeSidecar(t)
  const launcher = launch(t, run, { env: { ...sidecar.env, REPRIEVE_PATIENCE_MS: '100' } })
  const talk = await sidecar.next()
  await talk.next()
  talk.say('wait ms=60000')
  await sleep(400)
  t.equal(launcher.output(), '', 'it still waits')
  talk.say('wait ms=50')
  t.match(await talk.next(), /^started root=\d+$/, 'said unasked when it lost patience')
  t.equal(await talk.next(), 'gone code=0')
  talk.say('release')
  t.equal((await launcher.ended).code, 0)
})

void t.test('never adopts once it has started by itself, and says so', beside(), async (t) => {
  const sidecar = await fakeSidecar(t)
  const launcher = launch(t, ['run', '--container=app', '--', 'sleep', '0.5'], { env: impatient(sidecar) })
  const talk = await sidecar.next()
  await talk.next()
  const started = await talk.next()
  talk.say(`adopt root=${process.pid} supervisor=${process.pid} status=/nonexistent`, 'start')
  t.equal(await talk.next(), started)
  t.equal(await talk.next(), started)
  t.equal(await talk.next(), 'gone code=0')
  talk.say('release')
  t.equal((await launcher.ended).code, 0)
})

void t.test('a sidecar that never reads does not hang the application or its end', beside(), async (t) => {
  const path = join(scratch(t), 'sidecar.sock')
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket.pause())
    socket.on('error', () => socket.destroy())
    // Asks the same over and over; the answers pile up.
    const flood = setInterval(() => socket.write('start\n'.repeat(1000)), 5)
    socket.on('close', () => clearInterval(flood))
  }).listen(path)
  await once(server, 'listening')
  t.teardown(() => {
    sockets.forEach((socket) => socket.destroy())
    server.close()
  })
  const launcher = launch(t, ['run', '--container=app', '--', 'sh', '-c', 'sleep 1; exit 9'], {
    env: { REPRIEVE_SOCKET: path },
  })
  const ending = await launcher.ended
  t.equal(ending.code, 9)
})

void t.test(
  'waits longer where there is a checkpoint to go on from, and not for ever',
  beside(),
  async (t) => {
    const folder = scratch(t)
    writeFileSync(join(folder, 'app.checkpoint'), '')
    const env = {
      REPRIEVE_SOCKET: join(folder, 'sidecar.sock'),
      REPRIEVE_PATIENCE_MS: '100',
      REPRIEVE_PATIENCE_WITH_CHECKPOINT_MS: '1500',
    }
    const ending = await launch(t, run, { env }).ended
    t.equal(ending.stdout, 'alive\n')
    t.ok(ending.tookMs >= 1500, `took ${ending.tookMs} ms`)
    t.match(
      ending.stderr,
      /waiting longer, because there is a checkpoint[^]*the checkpoint is not restored[^]*starting the application/,
    )
  },
)

void t.test('counts its longer patience from the last word', beside(), async (t) => {
  const sidecar = await fakeSidecar(t)
  writeFileSync(join(dirname(sidecar.env.REPRIEVE_SOCKET ?? ''), 'app.checkpoint'), '')
  const env = { ...sidecar.env, REPRIEVE_PATIENCE_MS: '100', REPRIEVE_PATIENCE_WITH_CHECKPOINT_MS: '1500' }
  const launcher = launch(t, run, { env })
  const talk = await sidecar.next()
  await talk.next()
  await sleep(1000)
  talk.say('wait ms=50')
  await sleep(1000)
  t.equal(launcher.output(), '', 'still waiting after 2 s')
  talk.say('start')
  t.equal((await launcher.ended).stdout, 'alive\n')
})

void t.test('another container’s checkpoint is no reason to wait', beside(), async (t) => {
  const folder = scratch(t)
  writeFileSync(join(folder, 'other.checkpoint'), '')
  const env = { REPRIEVE_SOCKET: join(folder, 'sidecar.sock'), REPRIEVE_PATIENCE_WITH_CHECKPOINT_MS: '60000' }
  const ending = await launch(t, run, { env }).ended
  t.equal(ending.stdout, 'alive\n')
  t.notMatch(ending.stderr, /checkpoint/)
})
