/** The sidecar beside an application that stands still for its memory: killed at that instant, given more late or never; and what it needs itself. */
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { cgroupFolder } from '../harness/cgroup.ts'
import { poll } from '../harness/deadline.ts'
import type { Pod } from '../harness/pod.ts'
import { growing, sumOf, undisturbedSum } from './memory.ts'
import { resizeSocket, startResizer, type Resizer } from './resizer.ts'
import { storeOnSlowDisk } from './slow-disk.ts'
import { application, askControl, openStage, podOf, sidecar, statusOf, type Stage } from './support.ts'

/** Emulated processors take their time. */
const deadlineMs = 180_000

// They wait most of the time. tap writes into the options, so each test gets its own.
t.jobs = 2
const beside = () => ({ buffered: true })

/** Each is how it dies. The next one of a whole container finds no mount of the application's cgroup. */
const deaths: [how: string, kill: (pod: Pod) => void, saidBy: RegExp][] = [
  ['is killed', (pod) => killNode(pod), byGuard()],
  ['is killed with its container', (pod) => pod.killContainer(sidecar, 'SIGKILL'), /"msg":"an application that a sidecar had left frozen was thawed"/], // prettier-ignore
  ['is killed for its memory', (pod) => writeFileSync(memoryFile(pod, sidecar, 'memory.max'), '4M'), byGuard()], // prettier-ignore
]

function byGuard(): RegExp {
  return /launcher: an application that a sidecar had left frozen was thawed: \/\S+\/app\/cgroup/
}

for (const [how, kill, saidBy] of deaths)
  t.test(
    `a sidecar that ${how} while the application stands still leaves it frozen for a moment only`,
    beside(),
    async (t) => {
      const stage = await openStage(t, {
        programs: ['fill.c'],
        config: `memory: { resizeSocket: ${resizeSocket} }`,
      })
      const pod = await stage.run(growing({ limitMiB: 128, mebibytes: 116, threads: 1, hold: true }))
      await startResizer(t, pod, 'silence')
      await pod.waitForLog(application, /^mib /, { deadlineMs })
      const frozen = () => readFileSync(memoryFile(pod, application, 'cgroup.events'), 'utf8').includes('frozen 1') // prettier-ignore
      const becomes = (what: string, wanted: boolean) =>
        poll(
          what,
          deadlineMs,
          () => (frozen() === wanted ? true : undefined),
          () => pod.describe(),
        )
      await becomes('it to stand still', true)
      kill(pod)
      const killedAt = performance.now()
      await becomes('it to be let go', false)
      t.comment(`let go ${Math.round(performance.now() - killedAt)} ms after the kill`)
      if (how === 'is killed for its memory') {
        t.match(readFileSync(memoryFile(pod, sidecar, 'memory.events'), 'utf8'), /^oom_group_kill [1-9]/m)
        writeFileSync(memoryFile(pod, sidecar, 'memory.max'), 'max')
      }
      await pod.waitForLog(sidecar, saidBy, { deadlineMs })
      await pod.waitForLog(application, /^done$/, { deadlineMs })
      t.equal(frozen(), false)
      t.equal(pod.container(sidecar).attempts, how === 'is killed with its container' ? 2 : 1)
      await pod.delete({ gracePeriodSeconds: 60 })
    },
  )

function memoryFile(pod: Pod, container: string, file: string): string {
  return `${cgroupFolder(pod.container(container).cgroupPath, 'memory')}/${file}`
}

function killNode(pod: Pod): void {
  const running = pod
    .container(sidecar)
    .processes()
    .filter((pid) => ['node', 'MainThread'].includes(nameOf(pid)))
  for (const pid of running) killOne(pid)
}

/** It may end at that very instant. */
function killOne(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Empty where it has ended meanwhile. */
function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return ''
  }
}

t.test(
  'a sidecar that dies again and again leaves no throttle, and the one that lives sets it again',
  beside(),
  async (t) => {
    const stage = await openStage(t, { programs: ['fill.c'] })
    const pod = await stage.run(growing({ limitMiB: 128, mebibytes: 60, threads: 1, hold: true }))
    const throttle = () => readFileSync(memoryFile(pod, application, 'memory.high'), 'utf8').trim()
    const becomes = (what: string, isSo: () => boolean) =>
    poll(what, deadlineMs, () => isSo() || undefined, () => pod.describe()) // prettier-ignore
    await pod.waitForLog(application, /^done$/, { deadlineMs })
    await becomes('the throttle', () => throttle() !== 'max')
    const killing = setInterval(() => killNode(pod), 20)
    t.teardown(() => clearInterval(killing))
    await becomes('it to be put back', () => throttle() === 'max')
    clearInterval(killing)
    await pod.waitForLog(sidecar, /launcher: the throttle was removed, since no sidecar watches it/, {
      deadlineMs,
    })
    await becomes('the throttle of the one that lives', () => throttle() !== 'max')
    t.equal(pod.container(application).attempts, 1)
    t.equal(pod.container(sidecar).attempts, 1)
    await pod.delete()
  },
)

t.test(
  'what fills its memory while a checkpoint of it is being stored is given more',
  beside(),
  async (t) => {
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
  },
)

// The application's 192 MiB and the sidecar's 64 fit alone, but not beside the neighbour's 256.
const crowded = {
  programs: ['fill.c'],
  config: `memory: { resizeSocket: ${resizeSocket} }`,
  allocatableMiB: 500,
}
const neighbourOf = (stage: Stage) =>
  stage.runPlain(podOf({ command: ['/bin/sh', '-c', 'exec sleep 600'], resources: { requests: { memory: '256Mi' } } })) // prettier-ignore
const firstOf = (resizer: Resizer) =>
  poll('an answer to the resize', deadlineMs, () => resizer.became[0], () => JSON.stringify(resizer)) // prettier-ignore

t.test(
  'more memory that is deferred for ever is waited for ten seconds, and a checkpoint kept instead',
  beside(),
  async (t) => {
    const stage = await openStage(t, crowded)
    await neighbourOf(stage)
    const pod = await stage.run(growing({ limitMiB: 128, mebibytes: 118, threads: 1, hold: true }))
    const resizer = await startResizer(t, pod)
    t.equal(await firstOf(resizer), 'deferred')
    await pod.waitForLog(sidecar, /can have no more: it goes on with a checkpoint kept/, { deadlineMs })
    await pod.waitForLog(application, /^done$/, { deadlineMs })
    t.match((await statusOf(pod)).memory, [{ lastAnswer: { did: 'checkpoint', why: /the new limit was not in force after 10000 ms/ } }]) // prettier-ignore
    t.strictSame(resizer.asked, [{ container: 'app', limitBytes: 192 * 2 ** 20 }])
    t.equal((await stage.manifests()).length, 1)
    await pod.delete()
  },
)

t.test(
  'more memory that is deferred until another pod has gone is in force then, and enough',
  beside(),
  async (t) => {
    const stage = await openStage(t, crowded)
    const neighbour = await neighbourOf(stage)
    const pod = await stage.run(growing({ limitMiB: 128, mebibytes: 150, threads: 1, hold: true }))
    const resizer = await startResizer(t, pod)
    t.equal(await firstOf(resizer), 'deferred')
    await neighbour.crash()
    await pod.waitForLog(application, /^done$/, { deadlineMs })
    await pod.waitForLog(sidecar, /the application was given more memory/, { deadlineMs })
    t.match((await statusOf(pod)).memory, [{ watch: 'armed', lastAnswer: { did: 'grow', toBytes: 192 * 2 ** 20 } }]) // prettier-ignore
    t.strictSame(await stage.manifests(), [], 'no checkpoint was needed')
    t.equal(pod.container(application).attempts, 1)
    await pod.delete()
  },
)

/** The promise of docs/limits.md. */
const sidecarBoundMiB = 64

/** What the kernel cannot take back from a cgroup: all but page cache and what slab it can shrink. */
function heldMiB(pod: Pod, name: string): number {
  const stat = readFileSync(`${cgroupFolder(pod.container(name).cgroupPath, 'memory')}/memory.stat`, 'utf8')
  const of = (key: string) => Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(stat)?.[1])
  return (of('anon') + of('shmem') + of('kernel') + of('sock') - of('slab_reclaimable')) / 2 ** 20
}

t.test('a dump is charged neither to the application nor beyond its bound to the sidecar', async (t) => {
  const stage = await openStage(t, { programs: ['fill.c'] })
  const pod = await stage.run(growing({ limitMiB: 256, mebibytes: 200, threads: 1, hold: true, annotations: { 'memory-threshold': '70%' } })) // prettier-ignore
  await pod.waitForLog(application, /^mib /, { deadlineMs })
  const idleMiB = heldMiB(pod, sidecar)
  let mostMiB = 0
  let samples = 0
  const sampling = setInterval(() => {
    samples++
    mostMiB = Math.max(mostMiB, heldMiB(pod, sidecar))
  }, 20)
  t.teardown(() => clearInterval(sampling))
  await pod.waitForLog(sidecar, /a checkpoint was taken/, { deadlineMs })
  await delay(500)
  clearInterval(sampling)
  const of = (name: string, file: string) =>
    readFileSync(`${cgroupFolder(pod.container(name).cgroupPath, 'memory')}/${file}`, 'utf8')
  t.match(of(sidecar, 'memory.max'), /^max$/m, 'no limit helps it')
  t.match(of(sidecar, 'memory.events'), /^oom_kill 0$/m)
  t.equal(pod.container(sidecar).attempts, 1)
  t.ok(samples > 20, `${samples} samples`)
  t.ok(mostMiB <= sidecarBoundMiB, `at most ${mostMiB.toFixed(1)} MiB`)
  t.comment(`the sidecar held ${idleMiB.toFixed(1)} MiB before, ${mostMiB.toFixed(1)} MiB at most, of ${samples} samples`) // prettier-ignore
  // The pages of 200 MiB, and what a program has beside; were the images' page cache charged here, it would be nearly twice that.
  t.ok(Number(of(application, 'memory.peak')) < 220 * 2 ** 20, of(application, 'memory.peak'))
  t.match(of(application, 'memory.events'), /^oom_kill 0$/m)
  await pod.delete()
})
