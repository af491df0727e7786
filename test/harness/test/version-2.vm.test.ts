/** Cgroups of version 2, as the kubelet and containerd lay them out there: for the virtual machine, which has no others. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cgroupFolder, cgroupVersion } from '../cgroup.ts'
import { busyboxNode, never, shell, untilTerm } from './busybox-node.ts'

t.test('a container’s limits are its cgroup’s, which it sees as the root of all', async (t) => {
  t.equal(cgroupVersion, 2)
  const run = await busyboxNode(t)
  const limits = { cpu: '500m', memory: '64Mi' }
  const show =
    'cat /proc/self/cgroup; ls /sys/fs/cgroup | grep memory.max; echo 1 >/sys/fs/cgroup/cgroup.freeze'
  const pod = await run({
    ...never,
    containers: [
      shell('app', `(${show}) 2>&1; ${untilTerm()}`, { resources: { limits, requests: { cpu: '250m' } } }),
    ],
  })
  await pod.waitForLog('app', /^up$/)
  t.match(pod.logs('app'), /^0::\/\nmemory\.max\n.*Read-only file system\nup\n$/)
  const folder = cgroupFolder(pod.container('app').cgroupPath, 'memory')
  const read = (name: string) => readFileSync(join(folder, name), 'utf8').trim()
  t.same(['memory.max', 'memory.swap.max', 'cpu.max', 'memory.oom.group'].map(read), ['67108864', '0', '50000 100000', '1']) // prettier-ignore
  // runc's conversion of shares (libcontainer/cgroups, ConvertCPUSharesToCgroupV2Value): 256 of 2..262144 in 1..10000.
  t.equal(read('cpu.weight'), '10')
  t.match(readFileSync(`/proc/${pod.podPid}/cgroup`, 'utf8'), /\/pause\n$/)
  t.equal(readFileSync(join(folder, '../cgroup.procs'), 'utf8'), '', 'the pod’s own cgroup holds no process')
  const below = readdirSync(join(folder, '..'), { withFileTypes: true }).filter((entry) =>
    entry.isDirectory(),
  )
  t.same(below.map(({ name }) => name).sort(), ['app-0', 'pause']) // prettier-ignore
  await pod.delete()
})

t.test('a container that outgrows its memory is killed as a whole, and is said to be', async (t) => {
  const run = await busyboxNode(t)
  // The second process asks for nothing: it dies with the first.
  const script = 'sleep 600 & tail /dev/zero'
  const pod = await run({
    ...never,
    containers: [
      shell('app', script, { resources: { limits: { memory: '32Mi' } } }),
      shell('other', 'echo fine'),
    ],
  })
  const status = await pod.waitUntilEnded(60_000)
  const states = status.containerStatuses.map(({ state }) => state)
  t.match(states, [
    { exitCode: 137, reason: 'OOMKilled' },
    { exitCode: 0, reason: 'Completed' },
  ])
})
