/** Signals that ask for the end reach the launcher at awkward instants. */
import t from 'tap'
import { readFileSync } from 'node:fs'
import type { Test } from 'tap'
import { readStatNow } from '../../src/process-stat.ts'
import { fakeSidecar, type Connection } from './fake-sidecar.ts'
import { childrenOf, isAlive, kill, launch, type Started } from './launcher.ts'
import { until } from '../until.ts'

// Most of each test is waiting, so they run beside each other.
t.jobs = 8
// tap writes into the options, so each test gets its own
const beside = () => ({ buffered: true })

async function starting(t: Test, script: string): Promise<{ launcher: Started; talk: Connection }> {
  const sidecar = await fakeSidecar(t)
  const launcher = launch(t, ['run', '--container=app', '--', 'sh', '-c', script], { env: sidecar.env })
  const talk = await sidecar.next()
  await talk.next()
  return { launcher, talk }
}

async function running(
  t: Test,
  script: string,
): Promise<{ launcher: Started; talk: Connection; root: number }> {
  const { launcher, talk } = await starting(t, script)
  talk.say('start')
  const root = Number(/^started root=(\d+)$/.exec(await talk.next())?.[1])
  return { launcher, talk, root }
}

function isBlocked(pid: number, number: number): boolean {
  const mask = /^SigBlk:\t(\w+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0'
  return ((BigInt(`0x${mask}`) >> BigInt(number - 1)) & 1n) === 1n
}

/** As CRIU does: the root first. */
async function killTree(root: number): Promise<void> {
  const application = await until('the application', () => childrenOf(root)[0])
  kill(root)
  await until('the end of the root', () => !isAlive(root))
  kill(application)
}

for (const signals of [['SIGTERM'], ['SIGTERM', 'SIGTERM', 'SIGINT']])
  void t.test(
    `${signals.join(' and ')} for an application that is dead, which the launcher does not know yet, is not lost`,
    beside(),
    async (t) => {
      const { launcher, talk, root } = await running(t, 'exec sleep 60')
      process.kill(launcher.pid, 'SIGSTOP')
      await until('the launcher stands still', () => readStatNow(launcher.pid)?.state === 'T')
      await killTree(root)
      for (const signal of signals) process.kill(launcher.pid, signal)
      process.kill(launcher.pid, 'SIGCONT')
      t.equal(await talk.next(), 'gone code=137')
      talk.say('hold')
      await until('the end of the container', () => launcher.child.exitCode !== null)
      t.equal((await launcher.ended).code, 137)
    },
  )

void t.test('SIGTERM in the instants of a start ends the application', beside(), async (t) => {
  const starts = Array.from({ length: 20 }, async () => {
    const { launcher, talk } = await starting(t, 'exec sleep 60')
    talk.say('start')
    // The root may not have begun, nor the application have been executed.
    await until('the fork', () => childrenOf(launcher.pid)[0])
    launcher.child.kill('SIGTERM')
    t.match(await talk.next(), /^started root=/)
    t.equal(await talk.next(), 'gone code=143 told=15')
    talk.say('release')
    t.equal((await launcher.ended).code, 143)
  })
  await Promise.all(starts)
})

void t.test('SIGTERM ends a container whose sidecar is missing, or never answers', beside(), async (t) => {
  const missing = launch(t, ['run', '--container=app', '--', 'echo', 'ran'], {
    env: { REPRIEVE_PATIENCE_MS: '60000' },
  })
  await until('its signals to wait', () => isBlocked(missing.pid, 15))
  missing.child.kill('SIGTERM')
  t.match(await missing.ended, { code: 143, stdout: '' })
  const { launcher, talk } = await starting(t, 'exit 7')
  talk.say('start', 'wait ms=600000')
  t.match(await talk.next(), /^started root=/)
  t.equal(await talk.next(), 'gone code=7')
  launcher.child.kill('SIGTERM')
  t.equal((await launcher.ended).code, 7)
})

void t.test('a signal that ends nothing changes nothing for one', beside(), async (t) => {
  const { launcher, talk, root } = await running(t, 'exec sleep 60')
  process.kill(launcher.pid, 'SIGSTOP')
  await killTree(root)
  process.kill(launcher.pid, 'SIGURG')
  process.kill(launcher.pid, 'SIGCONT')
  t.equal(await talk.next(), 'gone code=137')
  talk.say('hold')
  await t.rejects(
    until('its end', () => launcher.child.exitCode !== null, 200),
    'it is kept open',
  )
  launcher.child.kill('SIGTERM')
  t.equal((await launcher.ended).code, 143)
})
