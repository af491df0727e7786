import { mkdirSync } from 'node:fs'
import t from 'tap'
import { grantCapabilities } from '../security.ts'
import { busyboxNode, never, shell } from './busybox-node.ts'

const show = 'id; grep -E "^(CapEff|CapBnd|NoNewPrivs|Seccomp):" /proc/self/status | tr "\\t" " "'

t.test(
  'a container runs as root with containerd’s default capabilities and no seccomp profile unless it says otherwise',
  async (t) => {
    const run = await busyboxNode(t)
    const pod = await run({ ...never, containers: [shell('app', show)] })
    await pod.waitUntilEnded()
    t.match(pod.logs('app'), /uid=0\(root\) gid=0\(root\)/)
    t.match(pod.logs('app'), /CapEff: 00000000a80425fb/)
    t.match(pod.logs('app'), /NoNewPrivs: 0/)
    t.match(pod.logs('app'), /Seccomp: 0/)
  },
)

t.test(
  'users and groups: the container’s word beats the pod’s, groups of the image and of the pod add up',
  async (t) => {
    const run = await busyboxNode(t)
    const pod = await run({
      ...never,
      securityContext: { runAsUser: 5, runAsGroup: 6, fsGroup: 7000, supplementalGroups: [8000] },
      containers: [shell('own', 'id', { securityContext: { runAsUser: 1000 } }), shell('shared', 'id')],
    })
    await pod.waitUntilEnded()
    t.match(pod.logs('own'), /uid=1000\(worker\) gid=6 groups=6,2000\(tools\),7000,8000/)
    t.match(pod.logs('shared'), /uid=5 gid=6 groups=6,7000,8000/)
  },
)

t.test('another user than root has no capabilities in effect', async (t) => {
  const run = await busyboxNode(t)
  const pod = await run({
    ...never,
    containers: [
      shell('app', show, { securityContext: { runAsUser: 1000, allowPrivilegeEscalation: false } }),
    ],
  })
  await pod.waitUntilEnded()
  t.match(pod.logs('app'), /CapEff: 0000000000000000/)
  t.match(pod.logs('app'), /NoNewPrivs: 1/)
})

t.test('runAsNonRoot refuses root', async (t) => {
  const run = await busyboxNode(t)
  const pod = await run({
    ...never,
    containers: [shell('app', 'id', { securityContext: { runAsNonRoot: true } })],
  })
  const status = await pod.waitUntilEnded()
  t.match(status.containerStatuses[0]?.state, { message: /runAsNonRoot/ })
})

t.test('capabilities: all dropped, some added; what this machine lacks is left out and told', async (t) => {
  const run = await busyboxNode(t)
  const capabilities = { drop: ['ALL'], add: ['SYS_ADMIN', 'SYS_PTRACE', 'CHECKPOINT_RESTORE'] }
  const pod = await run({ ...never, containers: [shell('app', show, { securityContext: { capabilities } })] })
  await pod.waitUntilEnded()
  t.match(pod.logs('app'), /CapEff: 0000010000280000/)
  const spec = {
    name: 'x',
    image: 'x',
    securityContext: { capabilities: { drop: ['ALL'], add: ['CAP_KILL', 'sys_time'] } },
  }
  t.same(grantCapabilities(spec, new Set(['KILL'])), { capabilities: ['CAP_KILL'], missing: ['SYS_TIME'] })
  t.throws(
    () =>
      grantCapabilities({ name: 'x', image: 'x', securityContext: { capabilities: { add: ['NONSENSE'] } } }),
    /NONSENSE/,
  )
})

t.test('RuntimeDefault forbids mounts and namespaces, and allows them to SYS_ADMIN', async (t) => {
  const run = await busyboxNode(t)
  const seccompProfile = { type: 'RuntimeDefault' }
  const script = `${show}; unshare -n true; echo unshare $?; mount -t tmpfs x /tmp; echo mount $?; echo works | cat`
  const pod = await run({
    ...never,
    containers: [
      shell('plain', script, { securityContext: { seccompProfile } }),
      shell('admin', script, { securityContext: { seccompProfile, capabilities: { add: ['SYS_ADMIN'] } } }),
    ],
  })
  await pod.waitUntilEnded()
  t.match(pod.logs('plain'), /Seccomp: 2/)
  t.match(pod.logs('plain'), /unshare 1[^]*mount (1|255)[^]*works/)
  t.match(pod.logs('admin'), /unshare 0[^]*mount 0[^]*works/)
})

t.test(
  'a read-only root file system, with its mounts writable; /proc/sys and cgroups are read-only for all',
  async (t) => {
    const run = await busyboxNode(t)
    const script = `for f in /x /tmp/x /data/x /dev/shm/x /dev/termination-log /proc/sys/kernel/domainname /sys/x; do
    (echo x >$f) 2>/dev/null && echo "$f writable" || echo "$f read-only"; done; ls /sys/firmware | wc -l`
    const pod = await run({
      ...never,
      volumes: [{ name: 'data', emptyDir: {} }],
      containers: [
        shell('app', script, {
          securityContext: { readOnlyRootFilesystem: true },
          volumeMounts: [{ name: 'data', mountPath: '/data' }],
        }),
      ],
    })
    const status = await pod.waitUntilEnded()
    t.equal(
      pod.logs('app'),
      '/x read-only\n/tmp/x read-only\n/data/x writable\n/dev/shm/x writable\n/dev/termination-log writable\n' +
        '/proc/sys/kernel/domainname read-only\n/sys/x read-only\n0\n',
    )
    t.match(
      status.containerStatuses[0]?.state,
      { message: 'x\n' },
      'the termination message is the log’s content',
    )
  },
)

t.test('fsGroup owns an emptyDir and a claim’s folder, so that another user can write there', async (t) => {
  const run = await busyboxNode(t)
  const claim = `${t.testdir()}/claim`
  mkdirSync(claim)
  const pod = await run(
    {
      ...never,
      securityContext: { runAsUser: 1000, fsGroup: 3000 },
      volumes: [
        { name: 'e', emptyDir: {} },
        { name: 'p', persistentVolumeClaim: { claimName: 'claim' } },
      ],
      containers: [
        shell('app', 'touch /e/x /p/x && stat -c %g /e /p /e/x /p/x', {
          volumeMounts: [
            { name: 'e', mountPath: '/e' },
            { name: 'p', mountPath: '/p' },
          ],
        }),
      ],
    },
    { claims: { claim } },
  )
  t.equal((await pod.waitUntilEnded()).phase, 'Succeeded')
  t.equal(pod.logs('app'), '3000\n3000\n3000\n3000\n')
})
