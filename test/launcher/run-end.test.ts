import t from 'tap'
import { rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { fakeSidecar, type Connection, type FakeSidecar } from './fake-sidecar.ts'
import { childrenOf, kill, launch, scratch, type Started } from './launcher.ts'
import { until } from '../until.ts'

// Most of each test is waiting, so they run beside each other.
t.jobs = 8
// tap writes into the options, so each test gets its own
const beside = () => ({ buffered: true })

async function gone(
  t: Test,
  script = 'exit 7',
  directory?: string,
): Promise<{ sidecar: FakeSidecar; launcher: Started; talk: Connection }> {
  const sidecar = await fakeSidecar(t, directory)
  const launcher = launch(t, ['run', '--container=app', '--', 'sh', '-c', script], { env: sidecar.env })
  const talk = await sidecar.next()
  await talk.next()
  talk.say('start')
  await talk.next()
  t.match(await talk.next(), /^gone code=/)
  return { sidecar, launcher, talk }
}

const stillThere = async (launcher: Started, forMs: number) =>
  (await Promise.race([launcher.ended.then(() => 'ended'), sleep(forMs, 'there')])) === 'there'

void t.test('exits with the code when nobody answers for two seconds', beside(), async (t) => {
  const { launcher } = await gone(t)
  const ending = await launcher.ended
  t.equal(ending.code, 7)
  t.ok(ending.tookMs >= 1900, `took ${ending.tookMs} ms`)
})

void t.test('a wait said before the end counts after it', beside(), async (t) => {
  const sidecar = await fakeSidecar(t)
  const launcher = launch(t, ['run', '--container=app', '--', 'sleep', '0.2'], { env: sidecar.env })
  const talk = await sidecar.next()
  await talk.next()
  talk.say('start', 'wait ms=60000')
  await talk.next()
  t.equal(await talk.next(), 'gone code=0')
  t.ok(await stillThere(launcher, 2500), 'waits longer than two seconds')
  talk.say('release')
  t.equal((await launcher.ended).code, 0)
})

void t.test(
  'a release after hold may say the code; without hold, or beyond 255, it is the application’s',
  beside(),
  async (t) => {
    const held = await gone(t)
    held.talk.say('hold', 'release code=75')
    t.equal((await held.launcher.ended).code, 75)
    const unheld = await gone(t)
    unheld.talk.say('release code=75')
    t.equal((await unheld.launcher.ended).code, 7)
    const odd = await gone(t)
    odd.talk.say('hold', 'release code=256')
    t.equal((await odd.launcher.ended).code, 7)
  },
)

for (const [signal, code] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
  ['SIGWINCH', 156], // the stop signal of httpd's images
] as const)
  void t.test(`holds the container open until ${signal}`, beside(), async (t) => {
    const { launcher, talk } = await gone(t, 'kill -KILL $PPID; sleep 5')
    talk.say('hold')
    t.ok(await stillThere(launcher, signal === 'SIGTERM' ? 2500 : 200), 'no deadline while holding')
    launcher.child.kill('SIGURG')
    t.ok(await stillThere(launcher, 100), 'a signal that ends nothing does not end it')
    launcher.child.kill(signal)
    t.equal((await launcher.ended).code, code)
  })

void t.test('SIGWINCH from a process has told the application to end', beside(), async (t) => {
  const sidecar = await fakeSidecar(t)
  const script = 'trap "exit 0" WINCH; echo ready; while :; do sleep 0.02; done'
  const launcher = launch(t, ['run', '--container=app', '--', 'sh', '-c', script], { env: sidecar.env })
  const talk = await sidecar.next()
  await talk.next()
  talk.say('start')
  await talk.next()
  await until('the application', () => launcher.output() === 'ready\n')
  launcher.child.kill('SIGWINCH')
  t.equal(await talk.next(), 'gone code=0 told=28')
})

/** Ended by CRIU for a checkpoint, as its launcher sees it. */
const killed = 'kill -KILL $PPID; sleep 5'

void t.test(
  'a container that is kept open ends when its sidecar is connected and has nothing to say for longer than it promised',
  beside(),
  async (t) => {
    const { launcher, talk } = await gone(t, killed)
    talk.say('hold ms=300')
    const ending = await launcher.ended
    t.equal(ending.code, 137, 'as the application did, so that a restart policy restarts it')
    t.match(ending.stderr, /no word from the sidecar at .* for \d+ ms: the container ends/)
  },
)

void t.test('a sidecar that repeats its hold in time keeps the container open', beside(), async (t) => {
  const { launcher, talk } = await gone(t, killed)
  talk.say('hold ms=300', 'hold ms=600000')
  t.ok(await stillThere(launcher, 1_000), 'the last hold counts')
  talk.say('hold ms=ever')
  await talk.closed
  t.ok(await stillThere(launcher, 100), 'what is no number is not obeyed')
})

void t.test(
  'a container that is kept open stays for a sidecar that is started again',
  beside(),
  async (t) => {
    const directory = scratch(t)
    const { sidecar, launcher, talk } = await gone(t, killed, directory)
    talk.say('hold ms=2000')
    await sidecar.stop()
    rmSync(sidecar.env.REPRIEVE_SOCKET, { force: true })
    t.ok(await stillThere(launcher, 3_000), 'no sidecar is connected that could hang')
    const next = await fakeSidecar(t, directory)
    t.match(await (await next.next()).next(), /state=gone code=137$/)
    t.ok(await stillThere(launcher, 200), 'the next one has its own time')
    t.equal((await launcher.ended).code, 137, 'and hangs in its turn')
  },
)

void t.test('a hold ends by release, with the code', beside(), async (t) => {
  const { launcher, talk } = await gone(t)
  talk.say('hold', 'release')
  t.equal((await launcher.ended).code, 7)
})

void t.test(
  'SIGTERM while waiting for the verdict ends the container at once with 143',
  beside(),
  async (t) => {
    const sidecar = await fakeSidecar(t)
    const launcher = launch(t, ['run', '--container=app', '--', 'echo', 'ran'], {
      env: sidecar.env,
    })
    const talk = await sidecar.next()
    await talk.next()
    launcher.child.kill('SIGTERM')
    const ending = await launcher.ended
    t.equal(ending.code, 143)
    t.equal(ending.stdout, '')
  },
)

void t.test('reconnects and says its state again, whichever it is', beside(), async (t) => {
  const directory = scratch(t)
  let sidecar = await fakeSidecar(t, directory)
  const launcher = launch(
    t,
    ['run', '--container=app', '--', 'sh', '-c', 'trap "exit 5" TERM; while :; do sleep 0.02; done'],
    {
      env: sidecar.env,
    },
  )
  const who = `run container=app pid=${launcher.pid} launcher=unknown`
  const again = async () => {
    await sidecar.stop()
    rmSync(sidecar.env.REPRIEVE_SOCKET, { force: true })
    await sleep(300)
    sidecar = await fakeSidecar(t, directory)
    return sidecar.next()
  }
  let talk = await sidecar.next()
  t.equal(await talk.next(), `${who} state=waiting`)
  talk = await again()
  t.equal(await talk.next(), `${who} state=waiting`)
  talk.say('start')
  const root = (await talk.next()).slice('started '.length)
  talk = await again()
  t.equal(await talk.next(), `${who} state=running ${root}`)
  launcher.child.kill('SIGTERM')
  t.equal(await talk.next(), 'gone code=5 told=15')
  talk.say('wait ms=20000')
  await sleep(50)
  talk = await again()
  t.equal(await talk.next(), `${who} state=gone code=5 told=15`)
  talk.say('hold')
  await sleep(50)
  talk = await again()
  t.equal(await talk.next(), `${who} state=gone code=5 told=15`)
  talk.say('release')
  t.equal((await launcher.ended).code, 5)
})

void t.test('tries to connect four times a second, not more', beside(), async (t) => {
  const sidecar = await fakeSidecar(t)
  // However late this process sees the last of them, it was not made sooner.
  const began = performance.now()
  const launcher = launch(t, ['run', '--container=app', '--', 'true'], { env: sidecar.env })
  for (let count = 0; count < 5; count++) (await sidecar.next()).close()
  const tookMs = performance.now() - began
  t.ok(tookMs >= 4 * 250, `${tookMs} ms for five connections`)
  await until('the launcher lives', () => launcher.child.exitCode === null)
})

void t.test('what asks for the end is kept from an application that is being saved', beside(), async (t) => {
  const sidecar = await fakeSidecar(t)
  const script = 'trap "echo told" TERM; trap "echo usr1" USR1; echo up; while :; do sleep 0.02; done'
  const launcher = launch(t, ['run', '--container=app', '--', 'sh', '-c', script], { env: sidecar.env })
  const talk = await sidecar.next()
  await talk.next()
  talk.say('start')
  const root = Number(/root=(\d+)/.exec(await talk.next())?.[1])
  t.teardown(() => kill(root))
  await until('it is up', () => launcher.output() === 'up\n')
  // As it is while it stands still: the signal is there before it can read what is said.
  process.kill(launcher.pid, 'SIGSTOP')
  process.kill(launcher.pid, 'SIGTERM')
  process.kill(launcher.pid, 'SIGUSR1')
  talk.say('withhold ms=60000')
  await sleep(50)
  process.kill(launcher.pid, 'SIGCONT')
  await until('the other signal', () => launcher.output() === 'up\nusr1\n')
  talk.say('withhold ms=300')
  await until('its time to be over', () => launcher.output() === 'up\nusr1\ntold\n')
  talk.say('withhold ms=60000')
  await sleep(50)
  process.kill(launcher.pid, 'SIGTERM')
  await sleep(50)
  for (const pid of childrenOf(root)) kill(pid)
  t.match(await talk.next(), /^gone code=137 told=15$/)
  talk.say('hold')
  t.ok(await stillThere(launcher, 200))
  talk.say('withhold ms=0')
  t.equal((await launcher.ended).code, 143)
})
