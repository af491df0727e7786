import t from 'tap'
import { spawnSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { fakeSidecar, type Connection, type FakeSidecar } from './fake-sidecar.ts'
import { isAlive, launch, launcherPath, scratch, type Started } from './launcher.ts'
import { until } from '../until.ts'
import { readStatNow } from '../../src/process-stat.ts'
import { pendingEndSignal } from '../../sidecar/triggers/memory/pending-end.ts'

type Adoption = {
  launcher: Started
  supervisor: Started
  root: number
  sidecar: FakeSidecar
  talk: Connection
  status: string
}

/**
 * A launcher that waits, and a tree that a stand-in for CRIU left under a supervisor: what `script` is.
 *
 * @param then what the stand-in does before it ends
 */
async function adoption(t: Test, script: string, then = ''): Promise<Adoption> {
  const directory = scratch(t)
  const sidecar = await fakeSidecar(t, directory)
  const launcher = launch(t, ['run', '--container=app', '--', 'echo', 'cold start'], {
    env: sidecar.env,
  })
  const talk = await sidecar.next()
  await talk.next()
  const status = join(directory, 'status')
  // It inherits no PATH that leads anywhere; a bash without SHLVL takes itself for a remote one and reads its startup file.
  const restore = [
    'bash',
    '--norc',
    '-c',
    `export PATH=/usr/bin:/bin; setsid sh -c '${script}' >&101 & echo $!; ${then}`,
  ]
  const supervisor = launch(
    t,
    ['supervise', `--pid=${launcher.pid}`, `--status=${status}`, '--stdio=0,1,2', '--', ...restore],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  )
  const root = Number(await until('the restored root', () => supervisor.output().trim()))
  t.teardown(() => isAlive(root) && process.kill(root, 'SIGKILL'))
  return { launcher, supervisor, root, sidecar, talk, status }
}

const adopt = ({ supervisor, root, talk, status }: Adoption) =>
  talk.say(`adopt root=${root} supervisor=${supervisor.pid} status=${status}`)

/** The exit code of a process of root, without capabilities as in a restricted container, that follows a link of /proc/PID. */
const reachedByRoot = (pid: number, link = 'fd/0') =>
  spawnSync('setpriv', ['--bounding-set=-all', '--inh-caps=-all', 'stat', '-L', `/proc/${pid}/${link}`])
    .status

t.jobs = 8
// tap writes into the options, so each test gets its own
const beside = () => ({ buffered: true })

void t.test('adopts a restored tree: its output, its signals, its code', beside(), async (t) => {
  const all = await adoption(t, 'trap "exit 23" TERM; echo restored; while :; do sleep 0.02; done')
  adopt(all)
  t.equal(await all.talk.next(), 'adopted')
  await until('the output in the container', () => all.launcher.output() === 'restored\n')
  all.launcher.child.kill('SIGTERM')
  t.equal(await all.talk.next(), 'gone code=23 told=15')
  t.equal(readFileSync(all.status, 'utf8'), '23\n')
  t.equal((await all.supervisor.ended).code, 23)
  t.equal((await all.supervisor.ended).stderr, '')
  all.talk.say('release')
  t.equal((await all.launcher.ended).code, 23)
  t.equal((await all.launcher.ended).stdout, 'restored\n', 'never started anew')
})

void t.test('a restored application that dies by a signal gives 128 and the signal', beside(), async (t) => {
  const all = await adoption(t, 'sleep 0.2; kill -KILL $$')
  t.equal((await all.supervisor.ended).code, 137)
  t.equal(readFileSync(all.status, 'utf8'), '137\n')
})

void t.test('obeys no start once it has adopted, and says so after a reconnection', beside(), async (t) => {
  const all = await adoption(t, 'sleep 1; exit 4')
  adopt(all)
  t.equal(await all.talk.next(), 'adopted')
  all.talk.say('start')
  t.equal(await all.talk.next(), 'adopted')
  adopt(all)
  t.equal(await all.talk.next(), 'adopted')
  all.talk.say('release', 'hold')
  t.equal(await all.talk.next(), 'gone code=4', 'release and hold before the end mean nothing')
  all.talk.close()
  t.equal((await all.launcher.ended).code, 4)
})

void t.test("a supervisor that was killed leaves the tree in the launcher's care", beside(), async (t) => {
  const all = await adoption(t, 'trap "exit 23" TERM; while :; do sleep 0.02; done')
  adopt(all)
  await all.talk.next()
  all.supervisor.child.kill('SIGKILL')
  await until('the end of the supervisor', () => !isAlive(all.supervisor.pid))
  await t.rejects(all.talk.next(1500), 'the tree lives, so does the container')
  all.launcher.child.kill('SIGTERM')
  t.equal(await all.talk.next(), 'gone code=137 told=15', 'nobody knows the code')
  t.notOk(isAlive(all.root), 'the signal reached the root')
  all.talk.say('release')
  t.equal((await all.launcher.ended).code, 137)
})

void t.test('waits again for a tree that was broken off before it went on', beside(), async (t) => {
  const all = await adoption(t, 'exec sleep 60', 'sleep 60')
  adopt(all)
  t.equal(await all.talk.next(), 'adopted')
  // The sidecar's end, before it said that the tree is adopted.
  all.supervisor.child.stdin?.end()
  t.equal((await all.supervisor.ended).code, 125)
  t.equal(readFileSync(all.status, 'utf8'), 'aborted\n')
  const again = await all.sidecar.next()
  t.match(await again.next(), /^run container=app pid=\d+ launcher=\S+ state=waiting$/)
  again.say('start')
  t.match(await again.next(), /^started root=\d+$/)
  t.equal(await again.next(), 'gone code=0')
  again.say('release')
  const { code, stdout, stderr } = await all.launcher.ended
  t.equal(code, 0)
  t.equal(stdout, 'cold start\n')
  t.match(stderr, /ended before the application resumed/)
})

void t.test('but not where it was told to end', beside(), async (t) => {
  const all = await adoption(t, 'trap "echo told" TERM; while :; do sleep 0.02; done', 'sleep 60')
  adopt(all)
  t.equal(await all.talk.next(), 'adopted')
  all.launcher.child.kill('SIGTERM')
  await until('the signal to be passed on', () => all.launcher.output().includes('told'))
  all.supervisor.child.stdin?.end()
  t.equal(await all.talk.next(), 'gone code=137 told=15')
  all.talk.say('release')
  t.equal((await all.launcher.ended).code, 137)
})

for (const [what, told] of [
  ['has ended', false],
  ['was told to end in vain before it ended', true],
] as const)
  void t.test(`SIGTERM is not lost on a restored tree that ${what}`, beside(), async (t) => {
    const all = await adoption(t, 'trap "echo told" TERM; while :; do sleep 0.02; done')
    adopt(all)
    t.equal(await all.talk.next(), 'adopted')
    if (told) all.launcher.child.kill('SIGTERM')
    await until('the first signal', () => !told || all.launcher.output().includes('told'))
    // Its supervisor has not said so yet.
    process.kill(all.supervisor.pid, 'SIGSTOP')
    await until('the supervisor stands still', () => readStatNow(all.supervisor.pid)?.state === 'T')
    process.kill(all.root, 'SIGKILL')
    await until('the end of the root', () => !isAlive(all.root))
    all.launcher.child.kill('SIGTERM')
    await until('the launcher to have it', () => pendingEndSignal(all.launcher.pid) === undefined)
    process.kill(all.supervisor.pid, 'SIGCONT')
    t.equal(await all.talk.next(), told ? 'gone code=137 told=15' : 'gone code=137')
    all.talk.say('hold')
    await until('the end of the container', () => all.launcher.child.exitCode !== null)
    t.equal((await all.launcher.ended).code, 137)
  })

void t.test('asks the sidecar to signal what it may not signal itself', beside(), async (t) => {
  const directory = scratch(t)
  const sidecar = await fakeSidecar(t, directory)
  // No capabilities and another user, as an unprivileged container beside a restored root's.
  const launcher = launch(
    t,
    [
      '--reuid=65534',
      '--regid=65534',
      '--clear-groups',
      '--bounding-set=-all',
      '--no-new-privs',
      launcherPath,
      'run',
      '--container=app',
      '--',
      'true',
    ],
    { file: 'setpriv', env: sidecar.env },
  )
  const talk = await sidecar.next()
  await talk.next()
  talk.say(`adopt root=${process.pid} supervisor=${process.pid} status=/nonexistent`)
  t.equal(await talk.next(), 'adopted')
  launcher.child.kill('SIGTERM')
  t.equal(await talk.next(), `signal number=15 root=${process.pid}`)
  launcher.child.kill('SIGKILL')
})

void t.test(
  'the supervisor keeps no descriptor and no capability once the tree is whole',
  beside(),
  async (t) => {
    const all = await adoption(t, 'exec setpriv --bounding-set=-all --inh-caps=-all sleep 60')
    const settled = () => /CapEff:\t0+\n/.test(readFileSync(`/proc/${all.supervisor.pid}/status`, 'utf8'))
    await until('no capability', settled)
    const status = readFileSync(`/proc/${all.supervisor.pid}/status`, 'utf8')
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      t.match(status, new RegExp(`${set}:\t0000000000000000`), set)
    const open = readdirSync(`/proc/${all.supervisor.pid}/fd`)
    t.equal(open.length, 4, 'standard ones and the directory of the status file')
    t.equal(reachedByRoot(all.root), 0, 'what has no more than root may look through an ordinary process')
    for (const descriptor of open)
      t.not(
        reachedByRoot(all.supervisor.pid, `fd/${descriptor}`),
        0,
        `but not through descriptor ${descriptor}`,
      )
    all.supervisor.child.kill('SIGTERM')
    all.supervisor.child.stdin?.end()
    await t.rejects(
      Promise.race([
        all.supervisor.ended.then(() => 'ended'),
        until('its end', () => !isAlive(all.supervisor.pid), 500),
      ]),
      'neither a signal nor the end of the sidecar ends it',
    )
    process.kill(all.root, 'SIGTERM')
    t.equal((await all.supervisor.ended).code, 143)
  },
)
