/**
 * The peer: CRIU alone, the same binary with the same options, in the same container (where the sidecar would start it) and to
 * the same disk, but with nobody beside it: no hook, no archive, no store.
 */
import { readFileSync } from 'node:fs'
import {
  criuDescriptors,
  dumpArguments,
  inheritedStdioBase,
  restoreArguments,
} from '../../sidecar/criu/options.ts'
import { stdioPipesOf } from '../../sidecar/proc/process-tree.ts'
import { enterArgv, toolArgv } from '../../sidecar/setup/tools.ts'
import type { CheckpointManifest } from '../../src/manifest.ts'
import { volumePaths } from '../../src/volume.ts'
import type { Pod } from '../../test/harness/pod.ts'
import { application, sidecar, statusOf } from './stage.ts'

/** A folder inside the sidecar's container, on the disk of its staging. */
const folder = `${volumePaths.staging}/bare`
const images = `${folder}/images`
const work = `${folder}/work`
const deadlineMs = 300_000

/** Dumps the application's tree and leaves it running. */
export async function bareDump(pod: Pod): Promise<void> {
  const state = (await statusOf(pod)).containers[0]?.state
  const stdio = await stdioPipesOf(pod.pidOf(application))
  const options = withoutHook(dumpArguments(Number(state?.root), stdio, true))
  const argv = enterArgv(Number(state?.launcherPid), ...toolArgv('criu', ...options))
  await inSidecar(pod, `rm -rf ${folder}; mkdir -p ${images} ${work}`)
  await inSidecar(pod, criuScript(argv))
}

export async function forgetBareDump(pod: Pod): Promise<void> {
  await inSidecar(pod, `rm -rf ${folder}`)
}

/**
 * Restores a checkpoint's images in a pod whose application is gone and whose launcher holds the container open. The restored
 * program writes to a pipe that is read once, and ends at its second line.
 * The images are copied to the pod's disk just before, as the restore init container brings them: they lie in the page cache in
 * the same state.
 * @param from the images' folder, as the sidecar sees it
 * @returns when CRIU was started, and the program's first line
 */
export async function bareRestore(
  pod: Pod,
  manifest: CheckpointManifest,
  from: string,
): Promise<{ startedAtMs: number; line: string }> {
  const options = withoutHook(restoreArguments(manifest.process.stdio, [1, 2]))
    // Under its supervisor it would be the restored tree's sibling; here nobody waits for the tree.
    .filter((word) => word !== '--restore-sibling')
  const argv = enterArgv(podPidOf(pod.pidOf(application)), ...toolArgv('criu', ...options))
  await inSidecar(pod, `rm -rf ${folder}; mkdir -p ${work}; cp -r ${from} ${images}`)
  const output = await inSidecar(pod, `date +%s%N; { ${criuScript(argv)}; } | head -n 1`)
  const [started = '', line = ''] = output.split('\n')
  return { startedAtMs: Number(started) / 1e6, line }
}

function withoutHook(options: string[]): string[] {
  const at = options.indexOf('--action-script')
  return options.filter((_, index) => at < 0 || (index !== at && index !== at + 1))
}

/** With the descriptors that the sidecar would have handed it. */
function criuScript(argv: readonly string[]): string {
  const { images: imagesFd, work: workFd } = criuDescriptors
  const words = argv.map((word) => `'${word}'`).join(' ')
  // A shell's descriptor numbers above 9 need bash.
  const stdio = [1, 2].map((fd) => `${inheritedStdioBase + fd}>&1`).join(' ')
  return `( exec ${imagesFd}<${images} ${workFd}<${work} ${stdio}; ${words} )`
}

async function inSidecar(pod: Pod, script: string): Promise<string> {
  const result = await pod.exec(sidecar, ['/bin/bash', '-euo', 'pipefail', '-c', script], { deadlineMs })
  if (result.code === 0) return result.stdout
  const log = await pod.exec(sidecar, ['sh', '-c', `grep Error ${work}/*.log | head -5`])
  throw new Error(`${script} failed: ${JSON.stringify(result)}\n${log.stdout}`)
}

/** A host's process as the pod numbers it. */
function podPidOf(hostPid: number): number {
  return Number(/^NSpid:.*\t(\d+)$/m.exec(readFileSync(`/proc/${hostPid}/status`, 'utf8'))?.[1])
}
