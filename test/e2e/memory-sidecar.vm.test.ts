/** The sidecar beside an application that stands still for its memory: killed at that instant, and short of memory itself. */
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { cgroupFolder } from '../harness/cgroup.ts'
import { poll } from '../harness/deadline.ts'
import type { Pod } from '../harness/pod.ts'
import { growing } from './memory.ts'
import { resizeSocket, startResizer } from './resizer.ts'
import { application, openStage, sidecar } from './support.ts'

/** Emulated processors take their time. */
const deadlineMs = 180_000

/** Each is how it dies. The next one of a whole container finds no mount of the application's cgroup. */
const deaths: [how: string, kill: (pod: Pod) => void, saidBy: RegExp][] = [
  ['is killed', (pod) => nodeProcesses(pod).forEach((pid) => process.kill(pid, 'SIGKILL')), byGuard()],
  ['is killed with its container', (pod) => pod.killContainer(sidecar, 'SIGKILL'), /"msg":"what a sidecar left frozen was let go"/], // prettier-ignore
  ['is killed for its memory', (pod) => writeFileSync(memoryFile(pod, sidecar, 'memory.max'), '4M'), byGuard()], // prettier-ignore
]

function byGuard(): RegExp {
  return /launcher: what a sidecar left frozen was let go: container "app"/
}

for (const [how, kill, saidBy] of deaths)
  t.test(
    `a sidecar that ${how} while the application stands still leaves it frozen for a moment only`,
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

function nodeProcesses(pod: Pod): number[] {
  return pod
    .container(sidecar)
    .processes()
    .filter((pid) => /^Name:\t(node|MainThread)$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')))
}

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
    const of = (name: string, file: string) => readFileSync(memoryFile(pod, name, file), 'utf8')
    t.match(of(sidecar, 'memory.events'), /^oom_kill 0$/m)
    t.equal(pod.container(sidecar).attempts, 1)
    t.ok(Number(of(sidecar, 'memory.peak')) <= 96 * 2 ** 20, of(sidecar, 'memory.peak'))
    // The pages of 200 MiB, and what a program has beside; were the images' page cache charged here, it would be nearly twice that.
    t.ok(Number(of(application, 'memory.peak')) < 220 * 2 ** 20, of(application, 'memory.peak'))
    t.match(of(application, 'memory.events'), /^oom_kill 0$/m)
    await pod.delete()
  },
)
