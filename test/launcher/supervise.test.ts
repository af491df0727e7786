import t from 'tap'
import { mkdirSync, readFileSync, readlinkSync, rmdirSync, writeFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { spawn } from 'node:child_process'
import type { Test } from 'tap'
import { childrenOf, isAlive, launch, launcherPath, scratch, type Started } from './launcher.ts'
import { until } from '../until.ts'

t.jobs = 8
// tap writes into the options, so each test gets its own
const beside = () => ({ buffered: true })

/** What enter and supervise execute inherits no PATH that leads anywhere. */
const path = 'PATH=/usr/sbin:/usr/bin:/sbin:/bin;'

/** A stand-in for a container: a process in mount, IPC and UTS namespaces of its own, with a mark in each. */
async function container(t: Test, unshareArgs: string[] = []): Promise<Started> {
  const mark =
    'hostname inside; mount -t tmpfs tmpfs /mnt; echo marked > /mnt/mark; echo ready; exec sleep 60'
  const started = launch(t, ['--mount', '--ipc', '--uts', ...unshareArgs, 'sh', '-c', mark], {
    file: 'unshare',
  })
  await until(
    'the container',
    () => started.output() === 'ready\n' && readFileSync(`/proc/${started.pid}/comm`, 'utf8') === 'sleep\n',
  )
  return started
}

/** A memory cgroup (v1, else the unified one) of the test's own, with the process in it. */
function memoryCgroup(t: Test, pid: number): { listed: string } {
  const own = /^\d+:memory:(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1]
  const base = own === undefined ? '/sys/fs/cgroup' : '/sys/fs/cgroup/memory'
  const name = `reprieve-launcher-${process.pid}-${pid}`
  // Below the root: our own place may be outside of what this machine shows.
  const path = join(base, name)
  mkdirSync(path)
  writeFileSync(join(path, 'cgroup.procs'), String(pid))
  t.teardown(async () => {
    if (isAlive(pid)) process.kill(pid, 'SIGKILL')
    await until('the cgroup is empty', () => readFileSync(join(path, 'cgroup.procs'), 'utf8') === '')
    rmdirSync(path)
  })
  return { listed: `/${name}` }
}

const memoryPlace = (text: string) => (/^\d+:memory:(.*)$/m.exec(text) ?? /^0::(.*)$/m.exec(text))?.[1]

void t.test('enter joins mount, IPC and UTS namespaces, and begins at their root', beside(), async (t) => {
  const target = await container(t)
  const script =
    path + 'pwd; cat /mnt/mark; hostname; readlink /proc/self/ns/mnt /proc/self/ns/ipc /proc/self/ns/uts'
  const ending = await launch(t, ['enter', `--pid=${target.pid}`, '--', 'sh', '-c', script]).ended
  const places = ['mnt', 'ipc', 'uts'].map((name) => readlinkSync(`/proc/${target.pid}/ns/${name}`))
  t.strictSame(ending.stdout.trim().split('\n'), ['/', 'marked', 'inside', ...places])
  t.equal(ending.stderr, '')
})

void t.test(
  "enter leaves open descriptors to the command, and its code is the command's",
  beside(),
  async (t) => {
    const target = await container(t)
    const entered = launch(
      t,
      ['enter', `--pid=${target.pid}`, '--', 'sh', '-c', 'echo through >&3; exit 6'],
      {
        stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      },
    )
    let heard = ''
    entered.child.stdio[3]?.on('data', (data: Buffer) => (heard += data.toString()))
    t.equal((await entered.ended).code, 6)
    t.equal(heard, 'through\n')
  },
)

void t.test('enter --cgroup joins the memory cgroup; without, it does not', beside(), async (t) => {
  const target = await container(t)
  const { listed } = memoryCgroup(t, target.pid)
  const inside = await launch(t, [
    'enter',
    `--pid=${target.pid}`,
    '--cgroup',
    '--',
    'cat',
    '/proc/self/cgroup',
  ]).ended
  t.equal(inside.stderr, '')
  t.equal(memoryPlace(inside.stdout), listed)
  const outside = await launch(t, ['enter', `--pid=${target.pid}`, '--', 'cat', '/proc/self/cgroup']).ended
  t.not(memoryPlace(outside.stdout), listed)
})

void t.test("enter --cgroup joins what only the target's own cgroup namespace shows", beside(), async (t) => {
  const target = await container(t)
  const { listed } = memoryCgroup(t, target.pid)
  // A process beside the target, in a cgroup namespace whose root is elsewhere: it sees the target at /../NAME.
  const nested = launch(
    t,
    ['--cgroup', launcherPath, 'enter', `--pid=${target.pid}`, '--cgroup', '--', 'sleep', '60'],
    { file: 'unshare' },
  )
  await until('it has entered', () => readFileSync(`/proc/${nested.pid}/comm`, 'utf8') === 'sleep\n')
  t.equal(memoryPlace(readFileSync(`/proc/${nested.pid}/cgroup`, 'utf8')), listed)
  nested.child.kill('SIGKILL')
  await nested.ended
})

void t.test('enter says which process is not there', beside(), async (t) => {
  const ending = await launch(t, ['enter', '--pid=4194303', '--', 'true']).ended
  t.equal(ending.code, 125)
  t.equal(ending.stderr, 'reprieve-launcher: open /proc/4194303: No such file or directory\n')
})

void t.test('enter leaves nothing of its environment to the command', beside(), async (t) => {
  const target = await container(t)
  const env = { LD_PRELOAD: '', GCONV_PATH: '/evil', HOME: '/evil' }
  const ending = await launch(t, ['enter', `--pid=${target.pid}`, '--', 'env'], { env }).ended
  t.equal(ending.stdout, 'PATH=/reprieve/no-programs\nLC_ALL=C\n')
})

void t.test('enter and supervise refuse a user namespace of its own', beside(), async (t) => {
  const target = await container(t, ['--user', '--map-root-user'])
  for (const mode of [['enter'], ['supervise', '--status=/tmp/unused']]) {
    const ending = await launch(t, [...mode, `--pid=${target.pid}`, '--', 'echo', 'executed']).ended
    t.match(ending, { code: 125, stdout: '', stderr: /is in another user namespace/ })
  }
})

/** Where /reprieve is a volume; a process beside it changes what lies there for itself, then it is entered. */
const volumeScript = `set -e
mount -t tmpfs tmpfs "$1"; cd "$1"
mkdir old proc dev tmp usr reprieve
for name in bin sbin lib lib64; do [ ! -e /$name ] || { mkdir $name; mount --rbind /$name $name; }; done
for name in proc dev tmp usr; do mount --rbind /$name $name; done
cp "$2" launcher
mount -t tmpfs tmpfs reprieve; mkdir reprieve/bin reprieve/lib
pivot_root . old; cd /; umount -l /old
unshare --mount sh -ec "$3; echo ready; exec sleep 60" > /said & target=$!
while [ ! -s /said ]; do kill -0 $target; sleep 0.02; done
code=0; /launcher enter --pid=$target -- echo executed || code=$?
kill $target; exit $code`

for (const [what, change, refused] of [
  ['is as it was', ':', undefined],
  ['is covered', 'mount -t tmpfs tmpfs /reprieve; mkdir /reprieve/bin /reprieve/lib', '/reprieve'],
  [
    'is a symbolic link',
    'umount /reprieve; rmdir /reprieve; mkdir /evil; ln -s /evil /reprieve',
    '/reprieve',
  ],
  ['has covered libraries', 'mount -t tmpfs tmpfs /reprieve/lib', '/reprieve/lib'],
  ['has covered programs', 'mount -t tmpfs tmpfs /reprieve/bin', '/reprieve/bin'],
  ['is not there', 'umount /reprieve', '/reprieve'],
] as const)
  void t.test(
    `enter ${refused === undefined ? 'executes' : 'refuses'} where the volume ${what}`,
    beside(),
    async (t) => {
      const args = ['--mount', 'sh', '-c', volumeScript, 'sh', scratch(t), launcherPath, change]
      const ending = await launch(t, args, { file: 'unshare' }).ended
      if (refused === undefined) t.match(ending, { code: 0, stdout: 'executed\n', stderr: '' })
      else
        t.match(ending, {
          code: 125,
          stdout: '',
          stderr: new RegExp(`launcher: ${refused} of process \\d+ is not the shared volume's`),
        })
    },
  )

void t.test(
  'supervise restores inside namespaces and memory cgroup of the target, and leaves the code outside',
  beside(),
  async (t) => {
    const target = await container(t)
    const { listed } = memoryCgroup(t, target.pid)
    const status = join(scratch(t), 'code')
    const restored = path + 'sleep 0.1; cat /mnt/mark; cat /proc/self/cgroup; exit 12'
    const supervisor = launch(
      t,
      [
        'supervise',
        `--pid=${target.pid}`,
        `--status=${status}`,
        '--',
        'sh',
        '-c',
        `${path} sh -c '${restored}' &`,
      ],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    )
    const ending = await supervisor.ended
    t.equal(ending.stderr, '')
    t.match(ending.stdout, /^marked\n/)
    t.equal(memoryPlace(ending.stdout), listed)
    t.equal(ending.code, 12)
    t.equal(readFileSync(status, 'utf8'), '12\n')
  },
)

for (const [what, args, command] of [
  ['the command fails', [], path + 'sleep 60 & echo $!; exit 1'],
  ['the named root is not its child', ['--root=4194303'], path + 'sleep 60 & echo $!'],
  ['the command leaves two roots', [], path + 'sleep 60 & sleep 60 & echo $!'],
] as const)
  void t.test(`supervise exits 125 and kills what was restored when ${what}`, beside(), async (t) => {
    const status = join(scratch(t), 'code')
    const supervisor = launch(t, [
      'supervise',
      `--pid=${process.pid}`,
      `--status=${status}`,
      ...args,
      '--',
      'sh',
      '-c',
      command,
    ])
    const ending = await supervisor.ended
    t.equal(ending.code, 125)
    t.notOk(isAlive(Number(ending.stdout)), 'nothing is left')
    t.equal(readFileSync(status, 'utf8'), 'aborted\n')
  })

void t.test('supervise waits for the root that is named', beside(), async (t) => {
  const status = join(scratch(t), 'code')
  const next = path + 'echo 20000 > /proc/sys/kernel/ns_last_pid'
  // In a process namespace of its own, where the next process's id can be chosen.
  const supervise = `"$0" supervise --pid=1 --status=${status} --root=20001 -- sh -c '${next}; sh -c "sleep 0.2; exit 31" &'`
  const ending = await launch(
    t,
    ['--pid', '--fork', '--mount-proc', 'sh', '-c', `${supervise}; exit $?`, launcherPath],
    {
      file: 'unshare',
    },
  ).ended
  t.equal(ending.stderr, '')
  t.equal(ending.code, 31)
  t.equal(readFileSync(status, 'utf8'), '31\n')
})

for (const [what, end, written] of [
  ['kills the root', 'sh -c "exec sleep 60" &) ; kill -9 20001', 'aborted\n'],
  ['fails after the root ended by itself', 'sh -c "exit 31" &)', '31\n'],
] as const)
  void t.test(`supervise tells apart: a restore that ${what}`, beside(), async (t) => {
    const status = join(scratch(t), 'code')
    // The subshell leaves the root to supervise, which reaps it before the command ends.
    const restore = `${path} (echo 20000 > /proc/sys/kernel/ns_last_pid; ${end}; while [ -e /proc/20001 ]; do sleep 0.02; done; exit 1`
    const supervise = '"$0" supervise --pid=1 "--status=$1" --root=20001 -- sh -c "$2"; exit $?'
    const args = ['--pid', '--fork', '--mount-proc', 'sh', '-c', supervise, launcherPath, status, restore]
    t.equal((await launch(t, args, { file: 'unshare' }).ended).code, 125)
    t.equal(readFileSync(status, 'utf8'), written)
  })

void t.test('kill -9 of the sidecar in the middle of a restore leaves nothing of it', beside(), async (t) => {
  const status = join(scratch(t), 'code')
  // The daemon's parent is dead already: only a subreaper still knows of it.
  const restore = path + '(setsid sleep 61 & echo $!); sleep 62 & echo $!; echo half; wait'
  const sidecar = `const { spawn } = require('node:child_process')
    spawn('${launcherPath}', ['supervise', '--pid=${process.pid}', '--status=${status}', '--', 'sh', '-c', '${restore}'],
      { stdio: ['pipe', 'inherit', 'inherit'] })`
  const child = launch(t, ['-e', sidecar], { file: process.execPath })
  await until('a half-restored tree', () => child.output().includes('half'))
  const half = child.output().trim().split('\n').slice(0, 2).map(Number)
  const supervisor = childrenOf(child.pid)[0] ?? 0
  t.ok(half.every(isAlive) && isAlive(supervisor))
  child.child.kill('SIGKILL')
  await until('the end of all of it', () => ![...half, supervisor].some(isAlive))
  t.equal(readFileSync(status, 'utf8'), 'aborted\n')
})

void t.test('the end of standard input alone breaks a restore off', beside(), async (t) => {
  const supervisor = spawn(
    launcherPath,
    ['supervise', `--pid=${process.pid}`, '--status=/tmp/unused', '--', 'sleep', '60'],
    {
      stdio: ['pipe', 'ignore', 'inherit'],
    },
  )
  await until('the command', () => childrenOf(supervisor.pid ?? 0)[0])
  supervisor.stdin?.end()
  t.equal(await new Promise((done) => supervisor.on('close', done)), 125)
})

void t.test('kill -9 of the sidecar leaves a tree alone that a launcher has adopted', beside(), async (t) => {
  const folder = scratch(t)
  const [status, released] = [join(folder, 'code'), join(folder, 'released')]
  // A stand-in for CRIU that is still letting go of the tree.
  const restore = `${path} setsid sleep 61 & echo $!; until [ -e ${released} ]; do sleep 0.02; done`
  const sidecar = `const { spawn } = require('node:child_process')
    spawn('${launcherPath}', ['supervise', '--pid=${process.pid}', '--status=${status}', '--', 'sh', '-c', '${restore}'],
      { stdio: ['pipe', 'inherit', 'inherit'] }).stdin.write('adopted\\n', () => console.log('said'))`
  const child = launch(t, ['-e', sidecar], { file: process.execPath })
  await until('the tree, and the word', () => /\d/.test(child.output()) && child.output().includes('said'))
  const root = Number(/\d+/.exec(child.output())?.[0])
  t.teardown(() => isAlive(root) && process.kill(root, 'SIGKILL'))
  const supervisor = childrenOf(child.pid)[0] ?? 0
  child.child.kill('SIGKILL')
  await until('the end of the sidecar', () => !isAlive(child.pid))
  await t.rejects(
    until('the end of what is not its own', () => ![root, supervisor].every(isAlive), 500),
    'both go on',
  )
  writeFileSync(released, '')
  await until('the root to be its child', () => childrenOf(supervisor).join() === String(root))
  process.kill(root, 'SIGTERM')
  await until('the code', () => existsSync(status))
  t.equal(readFileSync(status, 'utf8'), '143\n')
})

void t.test('but a sidecar that lives may still end it', beside(), async (t) => {
  const command = `${path} sleep 60 & echo $!; wait`
  const supervisor = launch(
    t,
    ['supervise', `--pid=${process.pid}`, '--status=/tmp/unused', '--', 'sh', '-c', command],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  )
  const root = Number(await until('the tree', () => supervisor.output().trim()))
  supervisor.child.stdin?.write('adopted\n')
  // A signal that comes together with the word may be that of a death, and is not heeded.
  await until('its end', () => {
    supervisor.child.kill('SIGTERM')
    return !isAlive(supervisor.pid)
  })
  t.equal((await supervisor.ended).code, 125)
  t.notOk(isAlive(root))
})
