import { readFileSync } from 'node:fs'
import t from 'tap'
import { busyboxNode, never, shell, sidecar, untilTerm } from './busybox-node.ts'

const shared = { volumes: [{ name: 'v', emptyDir: {} }], ...never }
const volumeMounts = [{ name: 'v', mountPath: '/v' }]

t.test('init containers run one after the other, before the main containers', async (t) => {
  const run = await busyboxNode(t)
  const note = (name: string) =>
    shell(name, `echo ${name} >>/v/order; sleep 0.2; echo ${name} done >>/v/order`, { volumeMounts })
  const pod = await run({
    ...shared,
    initContainers: [note('one'), note('two')],
    containers: [shell('app', 'cat /v/order', { volumeMounts })],
  })
  t.equal((await pod.waitUntilEnded()).phase, 'Succeeded')
  t.equal(pod.logs('app'), 'one\none done\ntwo\ntwo done\n')
})

t.test(
  'a failed init container ends a pod that never restarts, and its main containers never run',
  async (t) => {
    const run = await busyboxNode(t)
    const pod = await run({
      ...never,
      initContainers: [shell('init', 'exit 4')],
      containers: [shell('app', 'echo no')],
    })
    const status = await pod.waitUntilEnded()
    t.equal(status.phase, 'Failed')
    t.match(status.initContainerStatuses[0]?.state, { exitCode: 4 })
    t.equal(pod.logs('app'), '')
  },
)

t.test('a failed init container is retried until it succeeds when the pod may restart', async (t) => {
  const run = await busyboxNode(t)
  const script = 'echo x >>/v/tries; [ $(wc -l </v/tries) = 3 ]'
  const pod = await run({
    ...shared,
    restartPolicy: 'OnFailure',
    initContainers: [shell('init', script, { volumeMounts })],
    containers: [shell('app', 'cat /v/tries', { volumeMounts })],
  })
  t.equal((await pod.waitUntilEnded()).initContainerStatuses[0]?.restartCount, 2)
  t.equal(pod.logs('app'), 'x\nx\nx\n')
})

t.test('a sidecar’s startup probe holds back what comes after it', async (t) => {
  const run = await busyboxNode(t)
  const pod = await run({
    ...shared,
    initContainers: [
      shell('side', 'sleep 1.2; touch /v/ready; while :; do sleep 0.05; done', {
        ...sidecar,
        volumeMounts,
        startupProbe: {
          exec: { command: ['test', '-e', '/v/ready'] },
          periodSeconds: 1,
          timeoutSeconds: 10,
          failureThreshold: 1_000,
        },
      }),
    ],
    containers: [shell('app', 'ls /v', { volumeMounts })],
    terminationGracePeriodSeconds: 1,
  })
  await pod.waitUntilEnded()
  t.equal(pod.logs('app'), 'ready\n')
})

t.test(
  'a sidecar that dies is restarted beside the running main container, whatever the pod’s policy',
  async (t) => {
    const run = await busyboxNode(t)
    const pod = await run({
      ...never,
      initContainers: [shell('side', untilTerm(), sidecar)],
      containers: [shell('app', untilTerm())],
    })
    for (const name of ['app', 'side']) await pod.waitForLog(name, /up/)
    pod.killContainer('side')
    await pod.waitForLog('side', /up/, { nth: 2 })
    const status = pod.status()
    t.equal(status.initContainerStatuses[0]?.restartCount, 1)
    t.match(status.initContainerStatuses[0]?.lastState, { exitCode: 137 })
    t.equal(status.containerStatuses[0]?.restartCount, 0)
  },
)

t.test(
  'sidecars end after the main containers, the last one first, even when the pod ends by itself',
  async (t) => {
    const run = await busyboxNode(t)
    const side = (name: string) =>
      shell(
        name,
        `trap 'echo ${name} >>/v/order; exit 0' TERM; touch /v/up-${name}; while :; do sleep 0.05; done`,
        {
          ...sidecar,
          volumeMounts,
        },
      )
    const folder = t.testdir()
    const pod = await run({
      ...never,
      volumes: [{ name: 'v', hostPath: { path: folder } }],
      initContainers: [side('first'), side('second')],
      // Ends once both have a handler for SIGTERM: before that they would not die of it.
      containers: [
        shell(
          'app',
          'until [ -e /v/up-first ] && [ -e /v/up-second ]; do sleep 0.05; done; echo app >>/v/order',
          {
            volumeMounts,
          },
        ),
      ],
    })
    const status = await pod.waitUntilEnded()
    t.equal(readFileSync(`${folder}/order`, 'utf8'), 'app\nsecond\nfirst\n')
    t.equal(status.phase, 'Succeeded', 'sidecars do not count')
  },
)

t.test('a liveness probe that fails kills the container, and it starts again', async (t) => {
  const run = await busyboxNode(t)
  const pod = await run({
    terminationGracePeriodSeconds: 1,
    containers: [
      shell('app', untilTerm(), {
        livenessProbe: { exec: { command: ['false'] }, periodSeconds: 1, failureThreshold: 1 },
      }),
    ],
  })
  await pod.waitForLog('app', /got TERM/)
  await pod.waitFor('a restart', ({ containerStatuses: [app] }) => (app?.restartCount ?? 0) >= 1)
  t.ok(pod.events.some(({ reason }) => reason === 'Unhealthy'))
})

t.test('readiness follows the readiness probe, by HTTP at the pod’s address', async (t) => {
  const run = await busyboxNode(t)
  const pod = await run({
    containers: [
      shell('app', 'mkdir /www; echo up; httpd -f -p 8080 -h /www', {
        ports: [{ name: 'web', containerPort: 8080 }],
        readinessProbe: { httpGet: { port: 'web', path: '/ok' }, periodSeconds: 1 },
      }),
    ],
  })
  await pod.waitForLog('app', /up/)
  t.notOk(pod.status().containerStatuses[0]?.ready)
  await pod.exec('app', ['touch', '/www/ok'])
  await pod.waitUntilReady()
  t.ok(pod.status().containerStatuses[0]?.ready)
})
