/**
 * The pod's network: its own namespace with `lo` and an `eth0`, whose other end lies on the machine, so that the node
 * (the kubelet's probes and hooks) reaches the pod at its address and the pod reaches the node, and nothing else.
 * A real node's CNI plugin does the same (github.com/containernetworking/plugins, ptp). Both ends go with the namespace.
 */
import { randomInt } from 'node:crypto'
import { must, run } from '../../scripts/command.ts'

export type PodNetwork = { podIp: string; hostIp: string }

export async function connectPod(pausePid: number, uid: string): Promise<PodNetwork> {
  const outside = `rv${uid.replaceAll('-', '').slice(0, 11)}`
  const inside = ['nsenter', `--net=/proc/${pausePid}/ns/net`, 'ip']
  await must([
    'ip',
    'link',
    'add',
    outside,
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'netns',
    String(pausePid),
  ])
  for (let attempt = 0; ; attempt++) {
    // A /30 in a pod network's usual range: .1 is the machine's end, .2 the pod's.
    const base = randomInt(0, 2 ** 14) * 4
    const prefix = `10.244.${base >> 8}.`
    const [hostIp, podIp] = [`${prefix}${(base & 255) + 1}`, `${prefix}${(base & 255) + 2}`]
    const taken = (await must(['ip', '-4', 'addr', 'show'])).includes(` ${hostIp}/`)
    if (taken && attempt < 20) continue
    await must(['ip', 'addr', 'add', `${hostIp}/30`, 'dev', outside])
    await must(['ip', 'link', 'set', outside, 'up'])
    await must([...inside, 'link', 'set', 'lo', 'up'])
    await must([...inside, 'addr', 'add', `${podIp}/30`, 'dev', 'eth0'])
    await must([...inside, 'link', 'set', 'eth0', 'up'])
    await must([...inside, 'route', 'add', 'default', 'via', hostIp])
    // Without this the first second of an IPv6-minded program is lost on duplicate address detection.
    await run([...inside, '-6', 'addr', 'flush', 'dev', 'eth0'])
    return { podIp, hostIp }
  }
}
