/** Point i: the user's own preStop runs when no checkpoint was taken, and does not when one was. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { LogLine } from '../harness/container-log.ts'
import type { Handler } from '../harness/manifest.ts'
import type { Pod } from '../harness/pod.ts'
import { application, askControl, deadlineMs, exitCodeOf, openStage, podOf, reprieveWithoutCriu, sidecar, sidecarEntries, type LogEntry, type PodOptions, type Stage } from './support.ts' // prettier-ignore

const userGraceSeconds = 6
const drain = { path: '/drain?now=1', port: 8080, httpHeaders: [{ name: 'X-Who', value: 'kubelet' }] }

t.test('an exec hook does not run when a checkpoint was taken; where none was, it does', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const options = hooked(stage, marking('sleep 1'))
  const before = await begun(stage, options)
  await before.evict()
  t.same(marksIn(stage), [])
  t.notMatch(before.logs(application), /told to end/, 'the application was told nothing')
  t.equal((await stage.manifests())[0]?.trigger, 'prestop')

  const after = await begun(stage, options)
  await after.waitForLog(sidecar, /went on from its checkpoint/, { deadlineMs })
  breakStore(stage)
  await after.evict()
  t.same(marksIn(stage), ['began', 'ended'])
  t.match(lastLine(after)?.text, /^told to end at \d+$/, 'SIGTERM came after the hook')
  t.equal(exitCodeOf(after), 7)
  t.same([...new Set(failures(after).map(codeOf))], ['store-failed'], 'the sidecar says why')
})

t.test('an exec hook does not run for an application that a checkpoint has ended before', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const pod = await begun(stage, hooked(stage, marking('sleep 1')))
  t.match(await askControl(pod, { afterwards: 'end' }), { app: { outcome: 'taken' } })
  await pod.evict()
  t.same(marksIn(stage), [])
  t.match(await stage.manifests(), [{ trigger: 'manual' }], 'that checkpoint is the only one')
})

t.test(
  'an exec hook runs where CRIU is missing; how it failed is told as the kubelet tells it',
  async (t) => {
    const stage = await openStage(t, { programs: ['steps.c'], reprieve: await reprieveWithoutCriu(t) })
    const pod = await begun(stage, hooked(stage, marking('exit 9')))
    await pod.evict()
    t.same(marksIn(stage), ['began'])
    t.equal(exitCodeOf(pod), 7)
    t.match(pod.events.find(({ reason }) => reason === 'FailedPreStopHook')?.message, /exited 9/)
    t.same(await stage.manifests(), [])
  },
)

t.test('an HTTP hook asks the application itself, path, headers and all, when none was taken', async (t) => {
  const stage = await openStage(t, { programs: ['server.c'] })
  breakStore(stage)
  const pod = await begun(stage, { ...hooked(stage, { httpGet: drain }), command: ['/app/server'] })
  await pod.evict()
  const words = pod.logLines(application).flatMap(({ text }) => (text.startsWith('step') ? [] : [text]))
  t.same(words, ['asked GET /drain?now=1 HTTP/1.1 | kubelet', 'told to end'])
  t.equal(exitCodeOf(pod), 7)
})

t.test('an HTTP hook asks nobody when a checkpoint was taken; where none was, it does', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c', 'server.c'] })
  const neighbour = { name: 'neighbour', image: 'app', command: ['/app/server'], restartPolicy: 'Always' }
  const { spec, ...options } = hooked(stage, { httpGet: drain })
  const withNeighbour = { ...options, spec: { ...spec, initContainers: [neighbour] } }
  const before = await begun(stage, withNeighbour)
  await before.evict()
  t.equal((await stage.manifests()).length, 1)
  t.match(before.logs('neighbour'), /^told to end$/m, 'it was there to be asked until the end')
  t.notMatch(before.logs('neighbour'), /asked/)

  const after = await begun(stage, withNeighbour)
  await after.waitForLog(sidecar, /went on from its checkpoint/, { deadlineMs })
  breakStore(stage)
  await after.evict()
  t.match(after.logs('neighbour'), /^asked GET \/drain\?now=1 HTTP\/1.1 \| kubelet$/m)
  t.match(lastLine(after)?.text, /^told to end at \d+$/)
})

t.test('a sleeping hook sleeps only when no checkpoint was taken, while the application works', async (t) => {
  // Longer than the end of a pod takes on any machine; and what a test can wait for.
  const [longMs, sleepMs] = [60_000, 5_000]
  const stage = await openStage(t, { programs: ['steps.c'] })
  const asleep = (ms: number) => hooked(stage, { sleep: { seconds: ms / 1000 } })
  const patient = asleep(longMs)
  const before = await begun(stage, {
    ...patient,
    spec: { ...patient.spec, terminationGracePeriodSeconds: 2 * (longMs / 1000) },
  })
  await before.evict()
  const taken = sidecarEntries(before).find(({ msg }) => msg === 'a checkpoint was taken')
  const told = sidecarEntries(before).find(({ msg }) => msg === 'the sidecar was told to end')
  const sleptMs = momentOf(told) - momentOf(taken)
  t.ok(sleptMs < longMs, `the sidecar, which ends last, was told to end ${sleptMs} ms after the checkpoint`)

  const after = await begun(stage, asleep(sleepMs))
  await after.waitForLog(sidecar, /went on from its checkpoint/, { deadlineMs })
  breakStore(stage)
  await after.evict()
  const lines = after.logLines(application)
  const end = lastLine(after)
  t.match(end?.text, /^told to end at \d+$/)
  const failedMs = Math.max(...failures(after).map(momentOf))
  const waitedMs = (end?.timeMs ?? 0) - failedMs
  t.ok(waitedMs >= sleepMs, `SIGTERM came ${waitedMs} ms after the last try`)
  const steps = lines.filter(({ text, timeMs }) => text.startsWith('step') && timeMs > failedMs + 500).length
  t.ok(steps > 5, `${steps} steps while the hook slept`)
})

for (const { why, command, storeFails } of [
  { why: 'no debugger can stop it', command: ['/app/unstoppable'], storeFails: false },
  { why: 'the store cannot be written', command: ['/app/steps', '100000', '20'], storeFails: true },
])
  t.test(
    `a checkpoint that is tried until its time is up, since ${why}, leaves the hook all of the user’s grace`,
    async (t) => {
      const budgetSeconds = 3
      const config = `checkpointBudget: ${budgetSeconds}s\n`
      const stage = await openStage(t, { programs: ['unstoppable.c', 'steps.c'], config })
      const pod = await begun(stage, { ...hooked(stage, marking(`sleep ${userGraceSeconds - 2}`)), command })
      if (storeFails) breakStore(stage)
      // And 5 s for the answer, webhook/mutate.ts.
      t.equal(pod.spec.terminationGracePeriodSeconds, userGraceSeconds + budgetSeconds + 5)
      const toldMs = Date.now()
      await pod.evict()
      t.comment(
        `tries failed ${failures(pod)
          .map((entry) => momentOf(entry) - toldMs)
          .join(', ')} ms after the eviction`,
      )
      t.ok(failures(pod).length > 0)
      t.same(marksIn(stage), ['began', 'ended'])
      t.match(lastLine(pod)?.text, /^told to end/)
      t.equal(exitCodeOf(pod), 7, 'it ended by itself, in time')
    },
  )

/** A hook that leaves marks on a volume that outlives the pod. */
function marking(work: string): Handler {
  return { exec: { command: ['sh', '-c', `echo began >> /marks/hook; ${work}; echo ended >> /marks/hook`] } }
}

function hooked(stage: Stage, preStop: Handler): PodOptions {
  const path = join(stage.folder, 'marks')
  mkdirSync(path, { recursive: true })
  return {
    command: ['/app/steps', '100000', '20'],
    lifecycle: { preStop },
    volumeMounts: [{ name: 'marks', mountPath: '/marks' }],
    spec: {
      terminationGracePeriodSeconds: userGraceSeconds,
      volumes: [{ name: 'marks', hostPath: { path } }],
    },
  }
}

function marksIn(stage: Stage): string[] {
  const file = join(stage.folder, 'marks/hook')
  return existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : []
}

async function begun(stage: Stage, options: PodOptions): Promise<Pod> {
  const pod = await stage.run(podOf(options))
  await pod.waitForLog(application, /^step /, { nth: 5, deadlineMs })
  return pod
}

/** From now on the slot's folder is a file: nothing can be written there, not even by root. */
function breakStore({ storeFolder }: Stage): void {
  const slot = join(storeFolder, 'tests+key+work')
  mkdirSync(storeFolder, { recursive: true })
  if (existsSync(slot)) renameSync(slot, join(storeFolder, 'aside'))
  writeFileSync(slot, '')
}

/** Of standard output: what a program says on both at once may reach the log in either order. */
function lastLine(pod: Pod): LogLine | undefined {
  return pod.logLines(application).findLast(({ stream }) => stream === 'stdout')
}

function failures(pod: Pod): LogEntry[] {
  return sidecarEntries(pod).filter(({ msg }) => msg.startsWith('no checkpoint was taken'))
}

function codeOf({ err }: LogEntry): unknown {
  return (err as { code?: string }).code
}

function momentOf(entry: LogEntry | undefined): number {
  return Date.parse(String(entry?.time))
}
