/** What these tests share: a node that goes with its test, and pods of busybox containers in few words. */
import type { Test } from 'tap'
import { busyboxImage } from '../../images/busybox.ts'
import type { ContainerSpec, PodSpec } from '../manifest.ts'
import { Node, type NodeOptions, type RunOptions } from '../node.ts'
import type { Pod } from '../pod.ts'

export async function busyboxNode(
  t: Test,
  options: NodeOptions = {},
): Promise<(spec: PodSpec, sources?: Partial<RunOptions>) => Promise<Pod>> {
  const node = await Node.create(options)
  t.teardown(() => node.destroy())
  const images = { busybox: await busyboxImage() }
  return (spec, sources = {}) => node.run({ metadata: { name: 'pod' }, spec }, { images, ...sources })
}

/** A container that runs a shell script. */
export function shell(name: string, script: string, rest: Partial<ContainerSpec> = {}): ContainerSpec {
  return { name, image: 'busybox', command: ['sh', '-c', script], ...rest }
}

/** A script that waits for SIGTERM, says so, and exits with `code`. */
export const untilTerm = (code = 0, said = 'got TERM') =>
  `trap 'echo ${said}; exit ${code}' TERM; echo up; while :; do sleep 0.05; done`

export const never = { restartPolicy: 'Never' } as const
export const sidecar = { restartPolicy: 'Always' } as const
