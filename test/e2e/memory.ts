/** What the memory tests share: pods that fill their memory, and what is known of them. */
import { join } from 'node:path'
import { must } from '../../scripts/command.ts'
import type { PodManifest } from '../harness/manifest.ts'
import { cgroupVersion } from '../harness/cgroup.ts'
import { compile } from '../harness/native.ts'
import type { Pod } from '../harness/pod.ts'
import { application, deadlineMs, podOf, type PodOptions, type Stage } from './support.ts'

export type Filling = {
  limitMiB: number
  /** The limit as it is written, where it is another one. */
  limit?: string
  mebibytes: number
  threads: number
  /** Between two mebibytes of a thread; as fast as the cgroups' version and a busy machine are good for unless it is given. */
  pauseUs?: number
  hold?: boolean
  annotations?: Record<string, string>
  spec?: PodOptions['spec']
}

/**
 * As fast as it can where there is a throttle. Version 1 has none, and polls: 19 MiB lie between the threshold and a limit of 128 MiB, and
 * a busy machine comes to its poll late. So from 90 MiB on, below any threshold here, these 19 MiB take a second and a half.
 */
const pauses = cgroupVersion === 2 ? '0' : '80000@90'

export function growing({
  limitMiB,
  limit = `${limitMiB}Mi`,
  mebibytes,
  threads,
  pauseUs,
  hold,
  annotations,
  spec = {},
}: Filling): PodManifest {
  const command = ['/app/fill', String(mebibytes), String(threads), String(pauseUs ?? pauses)]
  if (hold === true) command.push('then-hold')
  return podOf({
    command,
    resources: { limits: { memory: limit } },
    ...(annotations === undefined ? {} : { annotations }),
    spec,
  })
}

/** What the program says of its memory at the end, and what an undisturbed run of it says, outside of any pod. */
export function sumOf(pod: Pod): string {
  return pod.logLines(application).findLast(({ text }) => text.startsWith('sum '))?.text ?? 'it said no sum'
}

const undisturbed = new Map<number, Promise<string>>()
export function undisturbedSum(mebibytes: number): Promise<string> {
  const sum = undisturbed.get(mebibytes) ?? runUndisturbed(mebibytes)
  undisturbed.set(mebibytes, sum)
  return sum
}

async function runUndisturbed(mebibytes: number): Promise<string> {
  const program = await compile(join(import.meta.dirname, '../programs/fill.c'))
  const said = await must([program, String(mebibytes), '2', '0'], { deadlineMs })
  return said.split('\n').find((line) => line.startsWith('sum ')) ?? ''
}

/** The memory limits that the lineage has recorded as needed, as a webhook with records would know them. */
export async function needsOf(stage: Stage, lineage = 'tests/key/work'): Promise<Map<string, number>> {
  const slot = { lineage, container: application }
  const { needs } = await stage.store.readRecord(slot, AbortSignal.timeout(deadlineMs))
  return new Map(needs === undefined ? [] : [[application, needs.memoryBytes]])
}
