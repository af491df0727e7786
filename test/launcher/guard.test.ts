import t, { type Test } from 'tap'
import { join } from 'node:path'
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { childrenOf, isAlive, launch, launcherPath, scratch } from './launcher.ts'
import { until } from '../until.ts'

t.jobs = 8
// tap writes into the options, so each test gets its own
const beside = () => ({ buffered: true })

void t.test('starts a command again that dies, later each time', beside(), async (t) => {
  const log = join(scratch(t), 'log')
  const guard = launch(t, ['guard', '--', 'sh', '-c', `date +%s%N >> ${log}; exit 3`])
  const times = () =>
    readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .map((ns) => Number(BigInt(ns) / 1_000_000n))
  await until('four starts', () => guard.errors().split('started again').length > 4 && times().length >= 4)
  const [first = 0, second = 0, third = 0, fourth = 0] = times()
  t.ok(
    second - first >= 100 && third - second >= 200 && fourth - third >= 400,
    `at ${times()
      .map((at) => at - first)
      .join(', ')} ms`,
  )
  guard.child.kill('SIGTERM')
  t.equal((await guard.ended).code, 143, 'ended between two starts')
})

void t.test('forwards signals, and does not start again after SIGTERM', beside(), async (t) => {
  const guard = launch(t, [
    'guard',
    '--',
    'sh',
    '-c',
    'trap "echo usr1" USR1; trap "echo bye; exit 5" TERM; echo up; while :; do sleep 0.02; done',
  ])
  await until('it is up', () => guard.output() === 'up\n')
  guard.child.kill('SIGUSR1')
  await until('the first signal', () => guard.output() === 'up\nusr1\n')
  guard.child.kill('SIGTERM')
  const ending = await guard.ended
  t.equal(ending.stdout, 'up\nusr1\nbye\n')
  t.equal(ending.code, 5)
  t.equal(ending.stderr, '')
})

void t.test('reaps orphans where it is the first process', beside(), async (t) => {
  const script = 'for i in $(seq 50); do (sleep 0.02 &) ; done; sleep 0.3; ps -eo stat= | grep -c Z'
  const child = launch(
    t,
    [
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      join(import.meta.dirname, '../../build/launcher/launcher'),
      'guard',
      '--once',
      '--',
      'sh',
      '-c',
      script,
    ],
    {
      file: 'unshare',
    },
  )
  t.equal((await child.ended).stdout, '0\n')
})

for (const [what, command] of [
  ['succeeds', ['true']],
  ['fails', ['false']],
  ['cannot be executed', ['/nonexistent']],
  ['kills itself', ['sh', '-c', 'kill -KILL $$']],
] as const)
  void t.test(`with --once exits 0 when the command ${what}`, beside(), async (t) => {
    const ending = await launch(t, ['guard', '--once', '--deadline-ms=600000', '--', ...command]).ended
    t.equal(ending.code, 0)
    if (what === 'succeeds') t.equal(ending.stderr, '')
    else t.match(ending.stderr, /ended with code (1|127|137)/)
  })

void t.test(
  'with --once tells the command to end before the deadline, kills it at the deadline, and exits 0',
  beside(),
  async (t) => {
    const mark = join(scratch(t), 'mark')
    writeFileSync(mark, '')
    const guard = launch(t, [
      'guard',
      '--once',
      '--deadline-ms=1000',
      '--',
      'sh',
      '-c',
      `trap "echo told >> ${mark}" TERM; while :; do sleep 0.05; done`,
    ])
    const command = await until('the command', () => childrenOf(guard.pid)[0])
    const ending = await guard.ended
    t.equal(ending.code, 0)
    t.ok(ending.tookMs >= 950, `took ${ending.tookMs} ms`)
    t.equal(readFileSync(mark, 'utf8'), 'told\n')
    await until('the command is dead', () => !isAlive(command))
  },
)

void t.test('with --once exits 0 also when it is told to end', beside(), async (t) => {
  const guard = launch(t, ['guard', '--once', '--deadline-ms=60000', '--', 'sleep', '60'])
  await until('the command', () => childrenOf(guard.pid)[0])
  guard.child.kill('SIGTERM')
  t.equal((await guard.ended).code, 0)
})

void t.test(
  'puts itself where a protected container starts from, and leaves alone what is there',
  async (t) => {
    const folder = join(scratch(t), 'bin')
    const provided = join(folder, 'launcher')
    const provide = () =>
      launch(t, ['guard', '--once', '--deadline-ms=2000', `--provide=${provided}`, '--', 'false']).ended
    t.equal((await provide()).code, 0)
    t.same(readFileSync(provided), readFileSync(launcherPath))
    t.equal(statSync(provided).mode & 0o777, 0o755)
    t.same(readdirSync(folder), ['launcher'])
    writeFileSync(provided, 'another')
    t.equal((await provide()).code, 0)
    t.equal(readFileSync(provided, 'utf8'), 'another')
  },
)

void t.test('runs its command also where it cannot put itself', async (t) => {
  const folder = scratch(t)
  const mark = join(folder, 'ran')
  const words = [
    'guard',
    '--once',
    '--deadline-ms=2000',
    '--provide=/proc/none/launcher',
    '--',
    'touch',
    mark,
  ]
  const { code, stderr } = await launch(t, words).ended
  t.equal(code, 0)
  t.ok(existsSync(mark))
  t.match(stderr, /\/proc\/none/)
})

for (const [how, script] of [
  ['dies', 'kill -KILL $$'],
  ['ends as it is told to', 'while :; do sleep 0.02; done'],
] as const)
  void t.test(`lets go what a command left frozen that ${how}`, beside(), async (t) => {
    const folder = scratch(t)
    const run = join(folder, 'run')
    const cgroup = join(folder, 'a cgroup')
    for (const name of ['app', 'empty', 'older', 'gone']) mkdirSync(join(run, name), { recursive: true })
    mkdirSync(cgroup)
    const freeze = join(cgroup, 'cgroup.freeze')
    writeFileSync(freeze, '1\n')
    writeFileSync(join(run, 'app/throttle-42@7'), `max 100\n${cgroup}`)
    writeFileSync(join(run, 'older/throttle-42@7'), 'max 100')
    writeFileSync(join(run, 'gone/throttle-43@7'), `max 100\n${join(folder, 'none')}`)
    writeFileSync(join(run, 'sidecar.sock'), '')
    const guard = launch(t, ['guard', `--thaw=${run}`, '--', 'sh', '-c', script])
    if (how !== 'dies') {
      await until('the command', () => childrenOf(guard.pid)[0])
      guard.child.kill('SIGTERM')
    }
    await until('it to be let go', () => readFileSync(freeze, 'utf8').startsWith('0'))
    t.ok(existsSync(join(run, 'app/throttle-42@7')), 'the record of the throttle that stands')
    guard.child.kill('SIGTERM')
    const { stderr } = await guard.ended
    t.match(stderr, /an application that a sidecar had left frozen was thawed: .*a cgroup\n/)
    t.notMatch(stderr, /none|sock/)
  })

/** Records of throttles, as sidecar/triggers/memory/throttle.ts writes them, and what each cgroup's `memory.high` says. */
function throttled(t: Test) {
  const folder = scratch(t)
  const run = join(folder, 'run')
  const cgroup = (name: string) => join(folder, `${name} cgroup`)
  const high = (name: string) => readFileSync(join(cgroup(name), 'memory.high'), 'utf8')
  const records: [name: string, stands: string, record: string][] = [
    ['app', '100\n', `max 50 100\n${cgroup('app')}`],
    ['lowered', '40', `70 60\n${cgroup('lowered')}`],
    ['untouched', '70\n', `70 70\n${cgroup('untouched')}`],
    ['older', '100', 'max 100'],
    ['gone', '100', `max 100\n${join(folder, 'none')}`],
  ]
  for (const [name, stands, record] of records) {
    for (const path of [join(run, name), cgroup(name)]) mkdirSync(path, { recursive: true })
    writeFileSync(join(cgroup(name), 'memory.high'), stands)
    writeFileSync(join(run, name, 'throttle-7.1'), record)
  }
  writeFileSync(join(run, 'sidecar.sock'), '')
  const nothingElse = () => {
    for (const [name, stands] of records.slice(1)) t.equal(high(name), stands, name)
    t.notOk(existsSync(join(run, 'app/throttle-7.1')), 'the record of what stands no more')
  }
  return {
    run,
    file: join(cgroup('app'), 'memory.high'),
    isPutBack: () => high('app').startsWith('max'),
    nothingElse,
  }
}

void t.test('puts back the throttle of a command that fails again and again', beside(), async (t) => {
  const { run, file, nothingElse } = throttled(t)
  const seen = join(run, '../seen')
  const command = ['sh', '-c', `cat '${file}' >> ${seen}; echo >> ${seen}; exit 3`]
  const guard = launch(t, ['guard', `--thaw=${run}`, '--', ...command])
  const throttles = () => (existsSync(seen) ? (readFileSync(seen, 'utf8').match(/\w+/g) ?? []) : [])
  await until('the next life', () => throttles().length >= 4)
  t.strictSame(
    throttles().slice(0, 4),
    ['100', '100', '100', 'max'],
    'as long as the next life comes at once it stays',
  )
  nothingElse()
  guard.child.kill('SIGTERM')
  const { stderr } = await guard.ended
  t.match(
    stderr,
    /the throttle was removed, since no sidecar watches it: memory\.high from 100 to max, .*app cgroup\n/,
  )
  t.equal(stderr.match(/was removed/g)?.length, 1)
})

for (const [when, script, isTime] of [
  ['while that runs', 'while :; do sleep 0.02; done', (guard) => childrenOf(guard.pid)[0]],
  ['between two of its lives', 'exit 3', (guard) => guard.errors().includes('in 100 ms')],
] as [string, string, (guard: ReturnType<typeof launch>) => unknown][])
  void t.test(`puts back the throttle of its command as it ends itself, ${when}`, beside(), async (t) => {
    const { run, isPutBack, nothingElse } = throttled(t)
    const guard = launch(t, ['guard', `--thaw=${run}`, '--', 'sh', '-c', script])
    await until('the time', () => isTime(guard))
    t.equal(isPutBack(), false)
    guard.child.kill('SIGTERM')
    await guard.ended
    t.ok(isPutBack())
    nothingElse()
  })

const oomScore = (pid: number | 'self') => readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8')
const mayLowerIt = () => {
  const held = /^CapEff:\t(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
  return ((BigInt(`0x${held}`) >> 24n) & 1n) === 1n
}

const byItself = mayLowerIt()
  ? 'where it may say so, but its command does not'
  : 'no more than its command on this machine, where nobody may say so'
for (const [how, file, words, lowers] of [
  [byItself, launcherPath, [], mayLowerIt()],
  ['no more than its command where it may not say so', 'setpriv', ['--bounding-set=-sys_resource', '--inh-caps=-sys_resource', launcherPath], false], // prettier-ignore
] as const)
  void t.test(`outlives the OOM killer ${how}`, beside(), async (t) => {
    const guard = launch(t, [...words, 'guard', '--', 'sleep', '60'], { file })
    const command = await until('the command', () => childrenOf(guard.pid)[0])
    await until('it to be executed', () => readFileSync(`/proc/${command}/comm`, 'utf8') === 'sleep\n')
    t.equal(oomScore(command), oomScore('self'))
    t.equal(oomScore(guard.pid), lowers ? '-1000\n' : oomScore('self'))
    guard.child.kill('SIGTERM')
    t.equal((await guard.ended).stderr, '')
  })
