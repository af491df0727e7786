/**
 * Applications as the Pod Security standard `restricted` wants them: not root, no capability, no new privileges, the runtime's
 * seccomp profile. CRIU must read and restore another user's limits and filters, for which the sidecar needs capabilities
 * that not every machine can give, SYS_RESOURCE above all: this runs in the virtual machine (make test-vm).
 */
import { readFileSync, readdirSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { Pod } from '../harness/pod.ts'
import { application, deadlineMs, exitCodeOf, numbersIn, openStage, podOf, replaced, type PodOptions, type Stage } from './support.ts' // prettier-ignore

const restricted: Omit<PodOptions, 'command'> = {
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
  spec: {
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 1000,
      runAsGroup: 3000,
      supplementalGroups: [4000],
      seccompProfile: { type: 'RuntimeDefault' },
    },
  },
}

const step = /^step (\d+) /

t.test(
  'a restricted application is evicted twice, loses no step, and is as restricted as before',
  async (t) => {
    const stage = await openStage(t, { programs: ['steps.c'] })
    const counted: number[] = []
    let last: Pod | undefined
    for (const generation of [1, 2, 3]) {
      const pod = await runs(t, stage, ['/app/steps', '100000', '20'])
      await pod.waitForLog(application, step, { nth: 10, deadlineMs })
      t.same(new Set(privilegesOf(pod, 'steps')), new Set([restrictions]), `generation ${generation}`)
      if (generation < 3) await pod.evict()
      else {
        pod.killContainer(application, 'SIGTERM')
        await pod.waitUntilEnded(deadlineMs)
      }
      const own = numbersIn(pod, step)
      t.ok(own.length >= 10, `generation ${generation} counts, from ${own[0]} to ${own.at(-1)}`)
      counted.push(...own)
      last = pod
    }
    t.same(counted, counted.map((_, index) => index + 1), 'every step once and in order, across the pods') // prettier-ignore
    t.equal(last && exitCodeOf(last), 7, 'its own handler of SIGTERM says how the restored one ends')
  },
)

t.test('a signal that kills a restored restricted application is its container’s exit code', async (t) => {
  const stage = await openStage(t, { programs: ['ends.c'] })
  const { after } = await replaced(stage, { ...restricted, command: ['/app/ends', '/tmp/how'] }, /^waiting/)
  await after.exec(application, ['sh', '-c', 'echo signal 9 > /tmp/how'])
  await after.waitUntilEnded(deadlineMs)
  t.equal(exitCodeOf(after), 137)
})

t.test('each process and thread of a restricted family comes back, as restricted as before', async (t) => {
  const stage = await openStage(t, { programs: ['family.c'] })
  const before = await runs(t, stage, ['/app/family'])
  await before.waitForLog(application, /^count/, { nth: 5, deadlineMs })
  const shape = privilegesOf(before, 'family')
  t.same(shape, Array<string>(9).fill(restrictions), 'five processes, one of them with five threads')
  await before.evict()
  const after = await runs(t, stage, ['/app/family'])
  await after.waitForLog(application, /^count/, { nth: 5, deadlineMs })
  t.same(privilegesOf(after, 'family'), shape)
  const rounds = [before, after].map((pod) => numbersIn(pod, /^count (\d+) /))
  t.equal(rounds[1]?.[0], (rounds[0]?.at(-1) ?? 0) + 1, 'the very next round')
})

/** Admits and runs the application, restricted, with a sidecar that has all it asks for. */
async function runs(t: Test, stage: Stage, command: string[]): Promise<Pod> {
  const pod = await stage.run(podOf({ ...restricted, command }))
  t.same(pod.events.filter(({ reason }) => reason === 'Deviation'), [], 'this machine gives the sidecar its capabilities') // prettier-ignore
  return pod
}

/** What /proc/PID/status must say of every thread: proc_pid_status(5). Group 2000 is the image's own; seccomp 2 is a filter. */
const restrictions = [
  'Uid: 1000 1000 1000 1000',
  'Gid: 3000 3000 3000 3000',
  'Groups: 2000 3000 4000',
  ...['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map((set) => `${set}: 0000000000000000`),
  'NoNewPrivs: 1',
  'Seccomp: 2',
  'Seccomp_filters: 1',
].join('\n')

/** Of each thread of the application's processes that have this name, as the machine sees it. */
function privilegesOf(pod: Pod, name: string): string[] {
  const wanted = new Set(restrictions.split('\n').map((line) => line.split(':')[0]))
  const threads = pod
    .container(application)
    .processes()
    .flatMap((pid) => readdirSync(`/proc/${pid}/task`).map((tid) => `/proc/${pid}/task/${tid}/status`))
  return threads.flatMap((file) => {
    const lines = readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.trim().replaceAll(/\s+/g, ' '))
    if (lines[0] !== `Name: ${name}`) return []
    return [lines.filter((line) => wanted.has(line.split(':')[0])).join('\n')]
  })
}
