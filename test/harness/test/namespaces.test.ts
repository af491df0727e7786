import { request } from 'node:http'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cgroupFolder, cgroupVersion } from '../cgroup.ts'
import { busyboxNode, never, shell, untilTerm } from './busybox-node.ts'

t.test(
  'containers that share a PID namespace see each other and pause as PID 1; others are PID 1 themselves',
  async (t) => {
    const run = await busyboxNode(t)
    // They make no process while they wait: one that is just being made has the command line of its parent.
    const waits = 'mkfifo /never; echo up; read word <>/never'
    const two = [shell('app', waits), shell('other', waits)]
    const sharing = await run({ ...never, shareProcessNamespace: true, containers: two })
    for (const name of ['app', 'other']) await sharing.waitForLog(name, /up/)
    const seen = (await sharing.exec('app', ['ps', '-o', 'pid,args'])).stdout
    t.match(seen, /^ +1 \/pause$/m)
    t.equal(seen.match(/mkfifo/g)?.length, 2)
    t.equal(readFileSync(`/proc/${sharing.podPid}/comm`, 'utf8'), 'pause\n')
    const apart = await run({ ...never, containers: two })
    for (const name of ['app', 'other']) await apart.waitForLog(name, /up/)
    const alone = (await apart.exec('app', ['ps', '-o', 'pid,args'])).stdout
    t.match(alone, /^ +1 sh -c mkfifo/m)
    t.equal(alone.match(/mkfifo/g)?.length, 1)
  },
)

t.test(
  'containers share network, IPC, host name and /dev/shm; the node reaches the pod, and the pod the node',
  async (t) => {
    const run = await busyboxNode(t)
    const pod = await run({
      ...never,
      hostname: 'trainer-0',
      containers: [
        shell(
          'web',
          'mkdir /www; echo hello >/www/index.html; echo shared >/dev/shm/file; httpd -f -p 80 -h /www',
        ),
        shell(
          'client',
          'until wget -qO- http://127.0.0.1/ 2>/dev/null; do sleep 0.05; done; hostname; cat /etc/hostname /dev/shm/file; grep trainer-0 /etc/hosts | cut -f1; df -k /dev/shm | tail -1 | tr -s " " | cut -d" " -f2; echo $HOSTNAME; sleep 60',
        ),
      ],
    })
    await pod.waitForLog('client', /^trainer-0$/, { nth: 3 })
    const { podIp } = pod.status()
    t.equal(pod.logs('client'), `hello\ntrainer-0\ntrainer-0\nshared\n${podIp}\n65536\ntrainer-0\n`)
    const body = await new Promise((resolve, reject) => {
      request({ host: podIp, port: 80, timeout: 60_000 }, (response) => {
        response.setEncoding('utf8').on('data', resolve)
      })
        .on('error', reject)
        .end()
    })
    t.equal(body, 'hello\n')
  },
)

t.test('memory and CPU limits become the container’s cgroup', async (t) => {
  const run = await busyboxNode(t)
  const pod = await run({
    ...never,
    containers: [
      shell('app', untilTerm(), {
        resources: { limits: { memory: '64Mi', cpu: '500m' }, requests: { cpu: '250m' } },
      }),
    ],
  })
  await pod.waitForLog('app', /up/)
  const { cgroupPath } = pod.container('app')
  const read = (controller: string, file: string) =>
    readFileSync(join(cgroupFolder(cgroupPath, controller), file), 'utf8').trim()
  if (cgroupVersion === 1) {
    t.equal(read('memory', 'memory.limit_in_bytes'), String(64 * 1024 ** 2))
    t.equal(read('cpu', 'cpu.cfs_quota_us'), '50000')
    t.equal(read('cpu', 'cpu.shares'), '256')
  } else {
    t.equal(read('memory', 'memory.max'), String(64 * 1024 ** 2))
    t.equal(read('cpu', 'cpu.max'), '50000 100000')
  }
})

t.test('environment, command and arguments: image, pod and $(VARIABLES)', async (t) => {
  const run = await busyboxNode(t)
  const pod = await run({
    ...never,
    containers: [
      {
        name: 'app',
        image: 'busybox:1.36',
        command: ['sh', '-c', 'echo "$0|$1|$A|$B|$PATH|$POD|$LIMIT|$(pwd)"'],
        args: ['$(A)', '$(NO) $$(A)'],
        workingDir: '/tmp',
        resources: { limits: { memory: '64Mi' } },
        env: [
          { name: 'A', value: 'a' },
          { name: 'B', value: '$(A)b' },
          { name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
          { name: 'LIMIT', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } },
        ],
      },
    ],
  })
  await pod.waitUntilEnded()
  t.equal(pod.logs('app'), 'a|$(NO) $(A)|a|ab|/bin|default|64|/tmp\n')
})

t.test('exec runs in the container, with its user and environment, and gives the exit code', async (t) => {
  const run = await busyboxNode(t)
  const pod = await run({
    ...never,
    containers: [
      shell('app', untilTerm(), { env: [{ name: 'A', value: 'x' }], securityContext: { runAsUser: 1000 } }),
    ],
  })
  await pod.waitForLog('app', /up/)
  const result = await pod.exec('app', ['sh', '-c', 'id -u; echo $A; cat; echo err >&2; exit 4'], {
    input: 'given',
  })
  t.match(result, { code: 4, stdout: '1000\nx\ngiven', stderr: 'err\n' })
})
