import t from 'tap'
import { readdirSync, readFileSync, readlinkSync, symlinkSync, copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { readStatNow } from '../../src/process-stat.ts'
import { fakeSidecar } from './fake-sidecar.ts'
import { childrenOf, launch, launcherPath, scratch, kill } from './launcher.ts'
import { until } from '../until.ts'

// Most of each test is waiting, so they run beside each other.
t.jobs = 8
// tap writes into the options, so each test gets its own
const beside = () => ({ buffered: true })

/** Parent, process group and session. */
const ids = (pid: number) => {
  const { parent, group, session } = readStatNow(pid) ?? {}
  return [parent, group, session]
}
/** Descriptors and what they lead to. */
const open = (pid: number) =>
  Object.fromEntries(readdirSync(`/proc/${pid}/fd`).map((fd) => [fd, readlinkSync(`/proc/${pid}/fd/${fd}`)]))
const run = (...command: string[]) => ['run', '--container=app', '--', ...command]

void t.test(
  'says who waits, starts when told, reports the root and the code, leaves when released',
  async (t) => {
    const sidecar = await fakeSidecar(t)
    const launcher = launch(t, run('sh', '-c', 'exit 3'), { env: sidecar.env })
    const talk = await sidecar.next()
    t.equal(await talk.next(), `run container=app pid=${launcher.pid} launcher=unknown state=waiting`)
    talk.say('wait ms=5000', 'start')
    t.match(await talk.next(), /^started root=\d+$/)
    t.equal(await talk.next(), 'gone code=3')
    talk.say('release')
    const ending = await launcher.ended
    t.equal(ending.code, 3)
    t.equal(ending.stderr, '', 'quiet when all is well')
  },
)

void t.test('names itself by the hash in its own file name, through a symbolic link', beside(), async (t) => {
  const sidecar = await fakeSidecar(t)
  const directory = scratch(t)
  copyFileSync(launcherPath, join(directory, 'launcher-0123456789ab'))
  symlinkSync('launcher-0123456789ab', join(directory, 'launcher'))
  launch(t, run('true'), { env: sidecar.env, file: join(directory, 'launcher') })
  t.match(await (await sidecar.next()).next(), / launcher=0123456789ab /)
})

for (const [what, script, code] of [
  ['status 0', 'exit 0', 0],
  ['status 255', 'exit 255', 255],
  ['death by SIGKILL', 'kill -KILL $$', 137],
  ['death by SIGSEGV', 'kill -SEGV $$', 139],
] as const)
  void t.test(`gives the application's end as its own: ${what}`, beside(), async (t) => {
    const sidecar = await fakeSidecar(t)
    const launcher = launch(t, run('sh', '-c', script), { env: sidecar.env })
    const talk = await sidecar.next()
    await talk.next()
    talk.say('start')
    await talk.next()
    t.equal(await talk.next(), `gone code=${code}`)
    talk.say('release')
    t.equal((await launcher.ended).code, code)
  })

void t.test('looks the command up in PATH, and fails as a shell does', beside(), async (t) => {
  const found = launch(t, run('echo', 'found'), { env: { REPRIEVE_PATIENCE_MS: '0' } })
  const missing = launch(t, run('no-such-command'), { env: { REPRIEVE_PATIENCE_MS: '0' } })
  const forbidden = launch(t, run('/etc/passwd'), { env: { REPRIEVE_PATIENCE_MS: '0' } })
  t.equal((await found.ended).stdout, 'found\n')
  t.equal((await missing.ended).code, 127)
  t.match((await missing.ended).stderr, /execute "no-such-command": No such file or directory/)
  t.equal((await forbidden.ended).code, 126)
  t.match((await forbidden.ended).stderr, /execute "\/etc\/passwd": Permission denied/)
})

void t.test(
  'the root is a session leader, plain to see in ps, and the application leads a group of its own',
  async (t) => {
    const sidecar = await fakeSidecar(t)
    launch(t, run('sleep', '60'), { env: sidecar.env })
    const talk = await sidecar.next()
    await talk.next()
    talk.say('start')
    const root = Number((await talk.next()).split('=')[1])
    t.teardown(() => kill(root))
    const application = await until('the application', () => childrenOf(root)[0])
    t.teardown(() => kill(application))
    const title = () => readFileSync(`/proc/${root}/cmdline`, 'latin1').replaceAll('\0', ' ').trim()
    await until('the title of the root', () => title() === 'reprieve-init sleep 60')
    await until(
      'the application executed',
      () => readFileSync(`/proc/${application}/comm`, 'utf8') === 'sleep\n',
    )
    t.strictSame(ids(application), [root, application, root], 'parent, group and session of the application')
    t.equal(ids(root)[2], root, 'session of the root')
    t.strictSame(readdirSync(`/proc/${root}/fd`), ['0', '1', '2'], 'the root keeps three descriptors')
  },
)

void t.test(
  'the application inherits what the container was given, and nothing of the launcher',
  beside(),
  async (t) => {
    const sidecar = await fakeSidecar(t)
    const script = 'exec 3</dev/null 4</dev/zero; exec "$0" run --container=app -- sleep 60'
    const launcher = launch(t, ['-c', script, launcherPath], { file: 'sh', env: sidecar.env })
    const talk = await sidecar.next()
    await talk.next()
    talk.say('start')
    const root = Number((await talk.next()).split('=')[1])
    const application = await until('the application', () => childrenOf(root)[0])
    t.teardown(() => kill(application))
    await until(
      'the application executed',
      () => readFileSync(`/proc/${application}/comm`, 'utf8') === 'sleep\n',
    )
    const { 0: stdin, 1: stdout, 2: stderr, ...inherited } = open(application)
    t.match(inherited, { 3: '/dev/null', 4: '/dev/zero' })
    t.notMatch(Object.values(inherited).join(), /socket|signalfd|eventfd/, 'no connection of the launcher')
    const own = Object.values(open(launcher.pid))
    t.notOk(own.includes('/dev/zero'), "the launcher lets go of what is the application's")
    t.equal(own.length, 5, `standard ones, the sidecar, signals: ${own.join(', ')}`)
    t.strictSame([stdin, stdout, stderr], [own[0], own[1], own[2]])
  },
)

void t.test('the application starts with default signals and nothing blocked', beside(), async (t) => {
  const script =
    "trap '' PIPE HUP; exec \"$0\" run --container=app -- grep -E 'Sig(Blk|Ign)' /proc/self/status"
  const launcher = launch(t, ['-c', script, launcherPath], { file: 'sh', env: { REPRIEVE_PATIENCE_MS: '0' } })
  t.equal((await launcher.ended).stdout, 'SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n')
})

for (const [signal, code] of [
  ['SIGTERM', 41],
  ['SIGUSR1', 42],
  ['SIGHUP', 43],
  ['SIGWINCH', 44],
] as const)
  void t.test(`${signal} reaches the application`, beside(), async (t) => {
    const name = signal.slice(3)
    const launcher = launch(
      t,
      run('sh', '-c', `trap 'exit ${code}' ${name}; echo ready; while :; do sleep 0.02; done`),
      {
        env: { REPRIEVE_PATIENCE_MS: '0' },
      },
    )
    await until('the application is ready', () => launcher.output().includes('ready'))
    launcher.child.kill(signal)
    t.equal((await launcher.ended).code, code)
  })

void t.test(
  'SIGTSTP stops the application and not the launcher, SIGCONT lets it go on',
  beside(),
  async (t) => {
    const launcher = launch(t, run('sh', '-c', 'echo $$; exec sleep 60'), {
      env: { REPRIEVE_PATIENCE_MS: '0' },
    })
    const pid = Number(await until('the pid', () => launcher.output().trim()))
    const state = () => readStatNow(pid)?.state
    launcher.child.kill('SIGTSTP')
    await until('the application stands', () => state() === 'T')
    launcher.child.kill('SIGCONT')
    await until('the application goes on', () => state() === 'S')
    launcher.child.kill('SIGTERM')
    t.equal((await launcher.ended).code, 143)
  },
)

void t.test('two hundred orphans leave no zombie, and are inside the tree', beside(), async (t) => {
  const sidecar = await fakeSidecar(t)
  const script =
    'for i in $(seq 200); do (sleep 0.05 &) ; done; (sleep 60 & echo orphan=$!); echo done; sleep 60'
  const launcher = launch(t, run('sh', '-c', script), { env: sidecar.env })
  const talk = await sidecar.next()
  await talk.next()
  talk.say('start')
  const root = Number((await talk.next()).split('=')[1])
  await until('the orphans are made', () => launcher.output().includes('done'))
  await until('only the application and one orphan are left', () => childrenOf(root).length === 2)
  const [application, orphan] = childrenOf(root)
  t.equal(orphan, Number(/orphan=(\d+)/.exec(launcher.output())?.[1]))
  for (const pid of [orphan, ...childrenOf(application ?? 0), application]) if (pid) kill(pid)
  t.equal(await talk.next(), 'gone code=137')
})
