import { createServer } from 'node:http'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { poll } from '../deadline.ts'
import { busyboxNode, never, shell, sidecar, untilTerm } from './busybox-node.ts'

t.test('preStop runs to its end before SIGTERM, and SIGTERM before SIGKILL', async (t) => {
  const run = await busyboxNode(t)
  const app = shell('app', untilTerm(7), {
    lifecycle: {
      preStop: {
        exec: {
          command: ['sh', '-c', 'echo hook begins >/proc/1/fd/1; sleep 0.5; echo hook ends >/proc/1/fd/1'],
        },
      },
    },
  })
  const pod = await run({ ...never, terminationGracePeriodSeconds: 60, containers: [app] })
  await pod.waitForLog('app', /up/)
  const status = await pod.delete()
  t.equal(pod.logs('app'), 'up\nhook begins\nhook ends\ngot TERM\n')
  t.match(status.containerStatuses[0]?.state, { exitCode: 7 })
})

t.test('who ignores SIGTERM is killed at the end of the grace period, and not before', async (t) => {
  const run = await busyboxNode(t)
  const pod = await run({
    ...never,
    terminationGracePeriodSeconds: 3,
    containers: [shell('app', 'trap "" TERM; echo up; while :; do sleep 0.05; done')],
  })
  await pod.waitForLog('app', /up/)
  const start = performance.now()
  const status = await pod.delete()
  const tookMs = performance.now() - start
  t.match(status.containerStatuses[0]?.state, { exitCode: 137 })
  t.ok(tookMs >= 2950, `ended after ${tookMs} ms`)
})

t.test(
  'a preStop that takes all of the grace period is left behind, and two seconds remain for SIGTERM',
  async (t) => {
    const run = await busyboxNode(t)
    const app = shell('app', `trap 'echo got TERM' TERM; echo up; while :; do sleep 0.05; done`, {
      lifecycle: { preStop: { exec: { command: ['sleep', '60'] } } },
    })
    const pod = await run({ ...never, terminationGracePeriodSeconds: 1, containers: [app] })
    await pod.waitForLog('app', /up/)
    const start = performance.now()
    const status = await pod.delete()
    const tookMs = performance.now() - start
    t.equal(pod.logs('app'), 'up\ngot TERM\n')
    t.match(status.containerStatuses[0]?.state, { exitCode: 137 })
    t.ok(tookMs >= 2950, `killed after ${tookMs} ms: one of the grace period, and two more`)
  },
)

t.test('a grace period of 0 runs no hook', async (t) => {
  const run = await busyboxNode(t)
  const app = shell('app', untilTerm(), {
    lifecycle: { preStop: { exec: { command: ['sh', '-c', 'echo hook >/proc/1/fd/1'] } } },
  })
  const pod = await run({ ...never, containers: [app] })
  await pod.waitForLog('app', /up/)
  await pod.delete({ gracePeriodSeconds: 0 })
  t.equal(pod.logs('app'), 'up\ngot TERM\n')
})

t.test(
  'a sidecar’s preStop runs at once, its SIGTERM comes only after the main container has ended',
  async (t) => {
    const run = await busyboxNode(t)
    const folder = t.testdir()
    const mounts = { volumeMounts: [{ name: 'v', mountPath: '/v' }] }
    const pod = await run({
      ...never,
      terminationGracePeriodSeconds: 120,
      volumes: [{ name: 'v', hostPath: { path: folder } }],
      initContainers: [
        shell(
          'side',
          `trap 'echo sidecar TERM >>/v/order; exit 0' TERM; echo up; while :; do sleep 0.05; done`,
          {
            ...sidecar,
            ...mounts,
            lifecycle: { preStop: { exec: { command: ['sh', '-c', 'echo sidecar hook >>/v/order'] } } },
          },
        ),
      ],
      containers: [
        shell(
          'app',
          // Ends once the hook has run, or at last without.
          `trap 'n=0; until [ -s /v/order ] || [ $n -ge 1000 ]; do sleep 0.05; n=$((n+1)); done; echo app ends >>/v/order; exit 0' TERM
          echo up; while :; do sleep 0.05; done`,
          mounts,
        ),
      ],
    })
    for (const name of ['app', 'side']) await pod.waitForLog(name, /up/)
    await pod.delete()
    t.equal(readFileSync(`${folder}/order`, 'utf8'), 'sidecar hook\napp ends\nsidecar TERM\n')
  },
)

t.test(
  'when the main container uses up the grace period, the sidecar is stopped after two seconds more',
  async (t) => {
    const run = await busyboxNode(t)
    const stubborn = 'trap "" TERM; echo up; while :; do sleep 0.05; done'
    const pod = await run({
      ...never,
      terminationGracePeriodSeconds: 2,
      initContainers: [shell('side', stubborn, sidecar)],
      containers: [shell('app', stubborn)],
    })
    await pod.waitForLog('app', /up/)
    const start = performance.now()
    await pod.delete()
    const tookMs = performance.now() - start
    t.ok(tookMs >= 3900, `ended after ${tookMs} ms`)
  },
)

t.test('preStop by HTTP reaches the container’s port with the headers that were asked for', async (t) => {
  const run = await busyboxNode(t)
  const app = shell(
    'app',
    `trap 'exit 0' TERM; echo up; printf 'HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n' | nc -l -p 8080; while :; do sleep 0.05; done`,
    {
      lifecycle: {
        preStop: {
          httpGet: { port: 8080, path: '/bye?x=1', httpHeaders: [{ name: 'X-Why', value: 'drain' }] },
        },
      },
    },
  )
  const pod = await run({ ...never, terminationGracePeriodSeconds: 60, containers: [app] })
  await pod.waitForLog('app', /up/)
  // Port 8080 in state LISTEN (proc_net_tcp.rst).
  const listens = () =>
    ['tcp', 'tcp6'].some((name) =>
      /:1F90 \S+ 0A /.test(readFileSync(`/proc/${pod.podPid}/net/${name}`, 'utf8')),
    )
  await poll('nc to listen', 120_000, () => listens() || undefined)
  await pod.delete()
  t.match(pod.logs('app'), /GET \/bye\?x=1 HTTP\/1\.1/)
  t.match(pod.logs('app'), /X-Why: drain/i)
})

t.test('an eviction by the kubelet fails the pod with the reason Evicted', async (t) => {
  const run = await busyboxNode(t)
  const pod = await run({ containers: [shell('app', untilTerm())] })
  await pod.waitForLog('app', /up/)
  const status = await pod.evict({ gracePeriodSeconds: 60 })
  t.match(status, { phase: 'Failed', reason: 'Evicted' })
  t.match(pod.logs('app'), /got TERM/)
  t.equal(status.containerStatuses[0]?.restartCount, 0)
})

t.test('a crash of the node ends everything at once: no hook, no signal that can be caught', async (t) => {
  const run = await busyboxNode(t)
  const app = shell('app', untilTerm(), {
    lifecycle: { preStop: { exec: { command: ['sh', '-c', 'echo hook >/proc/1/fd/1'] } } },
  })
  const pod = await run({
    shareProcessNamespace: true,
    // For longer than the test may take: nobody is waited for.
    terminationGracePeriodSeconds: 3_600,
    initContainers: [shell('side', untilTerm(), sidecar)],
    containers: [app],
  })
  await pod.waitForLog('app', /up/)
  const status = await pod.crash()
  t.match(status.containerStatuses[0]?.state, { exitCode: 137 })
  t.equal(pod.logs('app'), 'up\n')
})

t.test(
  'a postStart hook runs before the next container starts; one that fails kills its container',
  async (t) => {
    const run = await busyboxNode(t)
    const listening = createServer((_, response) => response.end('ok'))
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
    t.teardown(() => listening.close())
    const address = listening.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const pod = await run({
      ...never,
      terminationGracePeriodSeconds: 60,
      containers: [
        shell('good', untilTerm(), { lifecycle: { postStart: { httpGet: { host: '127.0.0.1', port } } } }),
        // The hook fails once there is a handler for SIGTERM.
        shell('bad', `trap 'echo got TERM; exit 9' TERM; touch /up; while :; do sleep 0.05; done`, {
          lifecycle: {
            postStart: { exec: { command: ['sh', '-c', 'until [ -e /up ]; do sleep 0.05; done; exit 1'] } },
          },
        }),
      ],
    })
    await pod.waitForLog('bad', /got TERM/)
    t.equal(pod.status().containerStatuses[0]?.state.kind, 'running')
    t.ok(pod.events.some(({ reason }) => reason === 'FailedPostStartHook'))
  },
)
