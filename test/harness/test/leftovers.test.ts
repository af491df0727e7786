import { spawn } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import { run as runCommand } from '../../../scripts/command.ts'
import { busyboxImage } from '../../images/busybox.ts'
import { cgroupFolders } from '../cgroup.ts'
import { poll } from '../deadline.ts'
import { Node } from '../node.ts'
import type { Pod } from '../pod.ts'
import { nodesRoot, sweepDeadNodes } from '../sweep.ts'
import { shell, untilTerm } from './busybox-node.ts'

function alive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false // it may go between any two looks at it
  }
}

/** The node's ends of these pods' links; other pods of the machine have theirs. */
async function linksOf(pods: Pod[]): Promise<string[]> {
  const names = pods.map(({ uid }) => `rv${uid.replaceAll('-', '').slice(0, 11)}`)
  const { stdout } = await runCommand(['ip', '-o', 'link'])
  return names.filter((name) => stdout.includes(` ${name}@`))
}

t.test(
  'three pods at once, and a destroyed node leaves no process, mount, cgroup, network or folder',
  async (t) => {
    const node = await Node.create()
    const images = { busybox: await busyboxImage() }
    const spec = {
      shareProcessNamespace: true,
      volumes: [{ name: 'm', emptyDir: { medium: 'Memory' } }],
      containers: [shell('app', untilTerm())],
    }
    const pods = await Promise.all([1, 2, 3].map(() => node.run({ metadata: {}, spec }, { images })))
    await Promise.all(pods.map((pod) => pod.waitForLog('app', /up/)))
    t.equal(new Set(pods.map((pod) => pod.status().podIp)).size, 3)
    const pids = pods.flatMap((pod) => [pod.podPid, pod.pidOf('app')])
    t.ok(pids.every(alive))
    t.equal((await linksOf(pods)).length, 3)
    await node.destroy()
    t.notOk(pids.some(alive))
    t.notMatch(readFileSync('/proc/self/mountinfo', 'utf8'), node.dir)
    t.notOk(cgroupFolders(node.cgroupParent).some((folder) => existsSync(folder)))
    t.notOk(existsSync(node.dir))
    // The kernel clears away a network namespace in its own time.
    await poll('the pods’ links to go', 120_000, async () => (await linksOf(pods)).length === 0 || undefined)
  },
)

t.test(
  'when the test process is killed its containers die, and the next run clears away the rest',
  async (t) => {
    const script = `
    const { Node } = await import(${JSON.stringify(join(import.meta.dirname, '../node.ts'))})
    const { busyboxImage } = await import(${JSON.stringify(join(import.meta.dirname, '../../images/busybox.ts'))})
    const node = await Node.create()
    const spec = { containers: [{ name: 'app', image: 'busybox', command: ['sh', '-c', 'echo up; sleep 600'] }] }
    const pod = await node.run({ metadata: {}, spec }, { images: { busybox: await busyboxImage() } })
    await pod.waitForLog('app', /up/)
    console.log(JSON.stringify({ pids: [pod.podPid, pod.pidOf('app')], dir: node.dir, cgroup: node.cgroupParent }))
    setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.teardown(() => child.kill('SIGKILL'))
    const line = await new Promise<string>((resolve) =>
      createInterface({ input: child.stdout }).once('line', resolve),
    )
    const { pids, dir, cgroup } = JSON.parse(line) as { pids: number[]; dir: string; cgroup: string }
    t.ok(pids.every(alive))
    child.kill('SIGKILL')
    await poll('the containers to die', 120_000, () => (pids.some(alive) ? undefined : true))
    await poll(
      'the sweep',
      120_000,
      async () => ((await sweepDeadNodes()).length, existsSync(dir) ? undefined : true),
    )
    t.notOk(cgroupFolders(cgroup).some((folder) => existsSync(folder)))
    t.notOk(readdirSync(nodesRoot).some((name) => dir.endsWith(name)))
  },
)
