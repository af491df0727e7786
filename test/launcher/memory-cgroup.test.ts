import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cgroupFolder, cgroupVersion } from '../harness/cgroup.ts'
import { launch, launcherPath, scratch } from './launcher.ts'
import { until } from '../until.ts'

t.test('mounts the hierarchy of the memory as the process sees it, and again in its place', async (t) => {
  const at = scratch(t)
  // A process in a memory cgroup and a cgroup namespace of its own; what it runs mounts in a mount namespace of its own.
  const name = `reprieve-memory-${process.pid}`
  const folder = cgroupFolder(name, 'memory')
  mkdirSync(folder)
  const target = launch(t, ['-c', `echo $$ >${folder}/cgroup.procs && exec unshare --cgroup sleep 60`], { file: 'sh' }) // prettier-ignore
  t.teardown(async () => {
    target.child.kill('SIGKILL')
    await target.ended
    await until('the cgroup is empty', () => readFileSync(join(folder, 'cgroup.procs'), 'utf8') === '')
    rmdirSync(folder)
  })
  await until('the target', () => readFileSync(`/proc/${target.pid}/comm`, 'utf8') === 'sleep\n')
  const limit = cgroupVersion === 2 ? 'memory.max' : 'memory.limit_in_bytes'
  writeFileSync(join(folder, limit), String(64 * 1024 ** 2))
  const mount = `${launcherPath} memory-cgroup --pid=${target.pid} --at=${at}`
  const script = `${mount}; ${mount}; cat ${at}/${limit}; grep -c ' ${at} ' /proc/self/mounts`
  const { stdout, stderr, code } = await launch(t, ['--mount', 'sh', '-c', script], { file: 'unshare' }).ended
  t.equal(stderr, '')
  t.equal(code, 0)
  const place = `${cgroupVersion} /`
  t.strictSame(stdout.split('\n'), [place, place, '67108864', '1', ''])
})

t.test('says what is wrong', async (t) => {
  const ending = async (...words: string[]) => launch(t, ['memory-cgroup', ...words]).ended
  t.match(await ending('--pid=1'), { code: 125, stderr: /usage: launcher memory-cgroup/ })
  t.match(await ending('--pid=4194303', `--at=${scratch(t)}`), { code: 125, stderr: /process 4194303/ })
  t.match(await ending(`--pid=${process.pid}`, '--at=/nowhere'), {
    code: 125,
    stderr: /umount \/nowhere: No such/,
  })
})
