import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { busyboxNode, never, shell, untilTerm } from './busybox-node.ts'

t.test('a pod that is never restarted ends with its container’s exit code and phase', async (t) => {
  const run = await busyboxNode(t)
  for (const [script, exitCode, phase, reason] of [
    ['exit 0', 0, 'Succeeded', 'Completed'],
    ['exit 3', 3, 'Failed', 'Error'],
    ['kill -KILL $$$$', 137, 'Failed', 'Error'],
    ['kill -SEGV $$$$', 139, 'Failed', 'Error'],
  ] as const) {
    // A shared PID namespace: in one of its own the shell is PID 1, which no signal from inside can end. And
    // Kubernetes makes one dollar sign of two.
    const pod = await run({ ...never, shareProcessNamespace: true, containers: [shell('app', script)] })
    const status = await pod.waitUntilEnded()
    t.match(status.containerStatuses[0]?.state, { kind: 'terminated', exitCode, reason }, script)
    t.equal(status.phase, phase, script)
  }
})

t.test('what is awaited of a pod that has ended is given up at once', async (t) => {
  const run = await busyboxNode(t)
  const pod = await run({ ...never, containers: [shell('app', 'echo up')] })
  // Without a deadline of its own the test's is what ends it.
  const deadlineMs = 3_600_000
  await t.rejects(pod.waitForLog('app', /never/, { deadlineMs }), /ended without line 1 of app/)
  await t.rejects(
    pod.waitFor('a second life', () => false, deadlineMs),
    /ended without a second life/,
  )
  t.equal((await pod.waitForLog('app', /up/, { deadlineMs })).text, 'up', 'what was there before is found')
})

t.test(
  'a crashed container gets a fresh writable layer, keeps its emptyDir, and its log goes on',
  async (t) => {
    const run = await busyboxNode(t)
    const script = `echo attempt $(ls /data | wc -l) layer $(ls / | grep -c left); touch /left /data/$RANDOM$RANDOM
    [ $(ls /data | wc -l) = 3 ] && exit 0; exit 1`
    const pod = await run({
      restartPolicy: 'OnFailure',
      volumes: [{ name: 'data', emptyDir: {} }],
      containers: [shell('app', script, { volumeMounts: [{ name: 'data', mountPath: '/data' }] })],
    })
    const status = await pod.waitUntilEnded()
    t.equal(status.phase, 'Succeeded')
    t.equal(status.containerStatuses[0]?.restartCount, 2)
    t.equal(pod.logs('app'), 'attempt 0 layer 0\nattempt 1 layer 0\nattempt 2 layer 0\n')
    t.same(
      pod.logLines('app').map(({ attempt }) => attempt),
      [0, 1, 2],
    )
  },
)

t.test(
  'restartPolicy Always restarts a container that ended well, and reports CrashLoopBackOff while it waits',
  async (t) => {
    const run = await busyboxNode(t, { backoffScale: 0.05 })
    const pod = await run({ containers: [shell('app', 'echo once')] })
    await pod.waitFor(
      'a wait',
      ({ containerStatuses: [app] }) =>
        app?.state.kind === 'waiting' && app.state.reason === 'CrashLoopBackOff',
    )
    // The third attempt counts from when it is begun: a signal that comes before its program does would be the runtime's.
    await pod.waitForLog('app', /once/, { nth: 3 })
    const status = await pod.waitFor(
      'a wait after the second restart',
      ({ containerStatuses: [app] }) => app?.restartCount === 2 && app.state.kind === 'waiting',
    )
    t.match(status.containerStatuses[0]?.lastState, { kind: 'terminated', exitCode: 0 })
    t.equal(status.phase, 'Running')
    t.equal((await pod.delete()).phase, 'Succeeded')
  },
)

t.test('a container that goes past its memory limit is reported as OOMKilled', async (t) => {
  const run = await busyboxNode(t)
  const resources = { limits: { memory: '24Mi' } }
  const greedy = { name: 'app', image: 'busybox', command: ['tail', '-c', '64m', '/dev/zero'], resources }
  const status = await (await run({ ...never, containers: [greedy] })).waitUntilEnded()
  t.match(status.containerStatuses[0]?.state, { exitCode: 137, reason: 'OOMKilled' })
})

t.test('a command that does not exist fails as StartError with 128, and says why', async (t) => {
  const run = await busyboxNode(t)
  const pod = await run({ ...never, containers: [{ name: 'app', image: 'busybox', command: ['/no/such'] }] })
  const { state } = (await pod.waitUntilEnded()).containerStatuses[0] ?? {}
  t.match(state, { exitCode: 128, reason: 'StartError', message: /no such file/ })
})

t.test(
  'when its first process ends, the rest of a container is killed, though the PID namespace lives on',
  async (t) => {
    const run = await busyboxNode(t)
    const pod = await run({
      ...never,
      shareProcessNamespace: true,
      containers: [
        shell('app', 'setsid sh -c "trap : TERM HUP; while :; do sleep 0.05; done" & sleep 0.3; exit 0'),
        shell('other', untilTerm()),
      ],
    })
    await pod.waitForLog('other', /up/)
    await pod.waitFor('app ended', ({ containerStatuses: [app] }) => app?.state.kind === 'terminated')
    await pod.container('app').ended
    const processes = await pod.exec('other', ['ps', '-o', 'args'])
    t.notMatch(processes.stdout, /trap : TERM HUP/)
    t.match(processes.stdout, /pause/)
  },
)

t.test('standard output and error are pipes, and every byte of them reaches the log', async (t) => {
  const run = await busyboxNode(t)
  const script = `for fd in 0 1 2; do readlink /proc/$$$$/fd/$fd; done
    echo on stderr >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; printf 'no newline'`
  const pod = await run({ ...never, containers: [shell('app', script)] })
  await pod.waitUntilEnded()
  const out = pod.logLines('app').filter(({ stream }) => stream === 'stdout')
  t.equal(out[0]?.text, '/dev/null')
  t.match(out[1]?.text, /^pipe:/)
  t.match(out[2]?.text, /^pipe:/)
  t.equal(out[3]?.text, 'x'.repeat(40000))
  t.match(pod.logs('app'), /on stderr\n/)
  t.match(pod.logs('app'), /no newline$/)
})

t.test('a pod that ended leaves its log and nothing else', async (t) => {
  const run = await busyboxNode(t)
  const pod = await run({
    ...never,
    containers: [shell('app', 'echo hello')],
    volumes: [{ name: 'v', emptyDir: {} }],
  })
  const folder = pod.volumeFolder('v')
  await pod.waitUntilEnded()
  t.equal(pod.logs('app'), 'hello\n')
  t.notOk(existsSync(join(folder, '../..')))
})
