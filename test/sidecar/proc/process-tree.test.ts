import { once } from 'node:events'
import { copyFileSync, readlinkSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import t from 'tap'
import {
  containerProcesses,
  isAlive,
  killAll,
  launcherHashOf,
  lifeOf,
  runsLauncher,
  memoryOf,
  shareMounts,
  signal,
  stdioPipesOf,
  threadsOf,
  treeInContainer,
  treeOf,
} from '../../../sidecar/proc/process-tree.ts'
import { readStat } from '../../../src/process-stat.ts'
import { program, sleeper } from '../stand-ins.ts'
import { until } from '../../until.ts'

const nobody = 2 ** 22 + 1
const isUp = async (pid: number) => (await readFile(`/proc/${pid}/cmdline`, 'latin1')).includes('launcher-')

t.test('a tree is the process and all below it, parents first', async (t) => {
  const { pid } = await program(t, ['sh', '-c', 'sh -c "sleep 50; true" & sleep 50; true'])
  await until('the tree', async () => (await treeOf(pid)).length === 4)
  const tree = await treeOf(pid)
  t.equal(tree[0], pid)
  for (const below of tree.slice(1)) {
    const stat = await readStat(below)
    t.ok(tree.indexOf(stat?.parent ?? 0) < tree.indexOf(below))
  }
  t.strictSame(await killAll(tree, 5_000), [])
  t.strictSame(await treeOf(nobody), [])
})

t.test('the life of a process is its number and when it began', async (t) => {
  const folder = t.testdir({})
  copyFileSync('/bin/sleep', `${folder}/a) R 1 (`)
  const { pid } = await program(t, [`${folder}/a) R 1 (`, '50'])
  const [, ticks] = lifeOf(pid).split('@')
  t.match(lifeOf(pid), new RegExp(`^${pid}@\\d+$`))
  t.equal(lifeOf(pid), lifeOf(pid))
  const booted = Number(/^btime (\d+)$/m.exec(await readFile('/proc/stat', 'latin1'))?.[1])
  t.ok(Math.abs(booted + Number(ticks) / 100 - Date.now() / 1_000) < 30, `${ticks} ticks`)
  t.equal(lifeOf(nobody), `${nobody}@`)
})

t.test('a zombie is not alive, nor is nobody', async (t) => {
  // The child ends only when its parent is no shell any more: a shell may still reap it before the exec.
  const child = 'until grep -q sleep /proc/$PPID/comm; do sleep 0.01; done'
  const { pid, stdout } = await program(t, ['sh', '-c', `sh -c '${child}' & echo $!; exec sleep 50`])
  const [line] = stdout === null ? [''] : await once(stdout, 'data')
  const zombie = Number(String(line))
  await until('the zombie', async () => (await readStat(zombie))?.state === 'Z')
  t.equal(await isAlive(zombie), false)
  t.equal(await isAlive(pid), true)
  t.equal(await isAlive(nobody), false)
  t.strictSame(await killAll([zombie], 1_000), [], 'and nobody waits for it')
})

t.test('killAll says what is left when its time is up', async (t) => {
  t.strictSame(await killAll([], 0), [])
  t.strictSame(await killAll([nobody], 1_000), [])
  const { pid } = await sleeper(t, 'here')
  t.strictSame(await killAll([pid, nobody], 5_000), [])
})

t.test('a signal to nobody is no error', async (t) => {
  t.equal(signal(nobody, 'SIGTERM'), false)
  t.throws(() => signal(process.pid, 65), { code: 'EINVAL' })
})

t.test('all threads are named: each number is needed again', async (t) => {
  const threads = await threadsOf([process.pid, nobody])
  t.ok(threads.includes(process.pid))
  t.ok(threads.length > 1, 'Node has several')
})

t.test('tells the pipes of standard input and outputs, and shared ones apart', async (t) => {
  // Node's own are socket pairs.
  const { pid } = await program(t, ['sh', '-c', 'sleep 50 2>&1 | sleep 50 >/dev/null 2>&1'])
  await until('the tree', async () => (await treeOf(pid)).length === 3)
  const tree = await treeOf(pid)
  t.teardown(() => killAll(tree, 5_000))
  await until('one pipe', async () => {
    const [first = [], second = []] = await Promise.all(tree.slice(1).map(stdioPipesOf))
    const [out, err] = first
    const [input] = second
    const fds = [...first, ...second].map(({ fd }) => fd)
    return `${fds}` === '1,2,0' && out?.inode === err?.inode && out?.inode === input?.inode
  })
  t.strictSame(await stdioPipesOf(nobody), [])
})

t.test('tells a container by its mounts', async (t) => {
  const [here, there] = [await sleeper(t, 'here'), await sleeper(t, 'elsewhere')]
  const mine = await containerProcesses(process.pid)
  t.ok(mine.includes(here.pid))
  t.notOk(mine.includes(there.pid))
  t.notOk(mine.includes(process.pid))
  t.strictSame(await containerProcesses(there.pid), [])
  t.strictSame(await containerProcesses(nobody), [])
  t.equal(shareMounts(here.pid, process.pid), true)
  t.equal(shareMounts(there.pid, process.pid), false)
  t.equal(shareMounts(nobody, nobody), false)
  t.same(await treeInContainer(here.pid, process.pid), [here.pid])
  t.same(
    await treeInContainer(there.pid, process.pid),
    [],
    'a root that a forged manifest names is not in this container',
  )
})

t.test('a launcher is told by its program: a file of ours, under whatever name it is run', async (t) => {
  const folder = t.testdir({})
  copyFileSync('/bin/sleep', `${folder}/launcher-0123456789ab`)
  copyFileSync('/bin/sleep', `${folder}/other`)
  const [{ pid: launcher }, { pid: other }] = [
    await program(t, [`${folder}/launcher-0123456789ab`, '60'], isUp),
    await program(t, [`${folder}/other`, '60'], (pid) => readlinkSync(`/proc/${pid}/exe`).endsWith('other')),
  ]
  t.equal(runsLauncher(launcher, folder), true)
  for (const pid of [other, 0, 1, process.pid, nobody]) t.equal(runsLauncher(pid, folder), false, `${pid}`)
  t.equal(runsLauncher(launcher, `${folder}/nowhere`), false)
})

t.test('the launcher that a tree runs is told by its file', async (t) => {
  const folder = t.testdir({})
  copyFileSync('/bin/sleep', `${folder}/launcher-0123456789ab`)
  const { pid } = await program(t, [`${folder}/launcher-0123456789ab`, '50'], isUp)
  t.equal(await launcherHashOf(pid), '0123456789ab')
  t.equal(await launcherHashOf(process.pid), undefined)
  t.equal(await launcherHashOf(nobody), undefined)
})

t.test('memory that processes share counts once', async (t) => {
  const script = `
import mmap, os, time
shared = mmap.mmap(-1, 64 << 20)
shared.write(b'x' * (64 << 20))
for _ in range(3):
    if os.fork() == 0:
        for at in range(0, 64 << 20, 4096): shared[at]
        print('up', flush=True)
        time.sleep(50)
time.sleep(50)
`
  const { pid, stdout } = await program(t, ['python3', '-c', script])
  let said = ''
  stdout?.on('data', (chunk) => {
    said += String(chunk)
  })
  await until('three workers', () => said.split('up').length === 4)
  const tree = await treeOf(pid)
  t.teardown(() => killAll(tree, 5_000))
  const bytes = await memoryOf(tree)
  t.ok(bytes > 64 << 20, `${bytes}`)
  t.ok(bytes < 140 << 20, `${bytes}`)
  t.equal(await memoryOf([nobody]), 0)
})
