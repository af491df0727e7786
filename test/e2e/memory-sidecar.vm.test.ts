/** The sidecar beside an application that stands still for its memory: killed at that instant, and short of memory itself. */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { cgroupFolder } from '../harness/cgroup.ts'
import { poll } from '../harness/deadline.ts'
import type { Pod } from '../harness/pod.ts'
import { growing, sumOf, undisturbedSum } from './memory.ts'
import { resizeSocket, startResizer } from './resizer.ts'
import { storeOnSlowDisk } from './slow-disk.ts'
import { application, askControl, openStage, sidecar, statusOf } from './support.ts'

/** Emulated processors take their time. */
const deadlineMs = 180_000

t.test(
  'a sidecar that is killed while the application stands still lets it go when it is started again',
  async (t) => {
    const stage = await openStage(t, {
      programs: ['fill.c'],
      config: `memory: { resizeSocket: ${resizeSocket} }`,
    })
    const pod = await stage.run(growing({ limitMiB: 128, mebibytes: 116, threads: 1, hold: true }))
    await startResizer(t, pod, 'silence')
    await pod.waitForLog(application, /^mib /, { deadlineMs })
    const frozen = () => readFileSync(`${cgroupFolder(pod.container(application).cgroupPath, 'memory')}/cgroup.events`, 'utf8').includes('frozen 1') // prettier-ignore
    await poll(
      'it to stand still',
      deadlineMs,
      () => (frozen() ? true : undefined),
      () => pod.describe(),
    )
    for (const pid of nodeProcesses(pod)) process.kill(pid, 'SIGKILL')
    const killedAt = performance.now()
    // Guard's first pause of 100 ms, and as long as this machine takes to start Node.
    await poll(
      'it to be let go',
      deadlineMs,
      () => (frozen() ? undefined : true),
      () => pod.describe(),
    )
    t.comment(`let go ${Math.round(performance.now() - killedAt)} ms after the kill`)
    await pod.waitForLog(sidecar, /what an earlier sidecar left frozen was let go/, { deadlineMs })
    await pod.waitForLog(application, /^done$/, { deadlineMs })
    t.equal(frozen(), false)
    await pod.delete({ gracePeriodSeconds: 60 })
  },
)

function nodeProcesses(pod: Pod): number[] {
  return pod
    .container(sidecar)
    .processes()
    .filter((pid) => /^Name:\t(node|MainThread)$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')))
}

t.test('what fills its memory while a checkpoint of it is being stored is given more', async (t) => {
  const stage = await openStage(t, {
    programs: ['fill.c'],
    config: `memory: { resizeSocket: ${resizeSocket} }`,
  })
  const disk = await storeOnSlowDisk(t, stage, 512)
  const pod = await stage.run(growing({ limitMiB: 128, mebibytes: 140, threads: 1, pauseUs: 50_000, hold: true })) // prettier-ignore
  const resizer = await startResizer(t, pod)
  await pod.waitForLog(application, /^mib [4-9]\d/, { deadlineMs })
  disk.slow(pod, 2 ** 20)
  const asked = askControl(pod, { afterwards: 'resume', deadlineMs })
  await pod.waitForLog(sidecar, /was given more memory/, { deadlineMs })
  t.strictSame(await stage.manifests(), [], 'the checkpoint is not complete')
  await pod.waitForLog(application, /^done$/, { deadlineMs })
  disk.letGo()
  t.match(await asked, { [application]: { outcome: 'taken' } })
  t.equal(sumOf(pod), await undisturbedSum(140))
  t.equal(pod.container(application).attempts, 1)
  t.ok(resizer.asked.length > 0)
  t.match((await statusOf(pod)).memory, [{ watch: 'armed', event: { reason: 'MemoryGrown' } }])
  await pod.delete()
})

t.test(
  'a dump is charged neither to the application nor beyond the limit of the sidecar, which lives',
  async (t) => {
    const stage = await openStage(t, {
      programs: ['fill.c'],
      config: `sidecar: { resources: { limits: { memory: 96Mi } } }`,
    })
    const pod = await stage.run(growing({ limitMiB: 256, mebibytes: 200, threads: 1, hold: true, annotations: { 'memory-threshold': '70%' } })) // prettier-ignore
    await pod.waitForLog(sidecar, /a checkpoint was taken/, { deadlineMs })
    await delay(500)
    const of = (name: string, file: string) =>
      readFileSync(`${cgroupFolder(pod.container(name).cgroupPath, 'memory')}/${file}`, 'utf8')
    t.match(of(sidecar, 'memory.events'), /^oom_kill 0$/m)
    t.equal(pod.container(sidecar).attempts, 1)
    t.ok(Number(of(sidecar, 'memory.peak')) <= 96 * 2 ** 20, of(sidecar, 'memory.peak'))
    // The pages of 200 MiB, and what a program has beside; were the images' page cache charged here, it would be nearly twice that.
    t.ok(Number(of(application, 'memory.peak')) < 220 * 2 ** 20, of(application, 'memory.peak'))
    t.match(of(application, 'memory.events'), /^oom_kill 0$/m)
    await pod.delete()
  },
)
