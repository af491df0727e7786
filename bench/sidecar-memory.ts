/**
 * What a protected pod pays in memory: resident memory of the idle sidecar (VmRSS of its Node process), before and after one
 * checkpoint; and what `node:http` would add to it, which is why the status server is written without.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { must } from '../scripts/command.ts'
import type { Pod } from '../test/harness/pod.ts'
import { median } from './lib/beats.ts'
import { report, round, say, type Result } from './lib/report.ts'
import { application, askControl, sidecar, Stage } from './lib/stage.ts'

const mebibytes = 64
const idleMs = 10_000
const samples = 5

await report({ sidecar_rss_MiB: 60 }, async (): Promise<Result> => {
  const stage = await Stage.open()
  try {
    const pod = await stage.runToFirstBeat('memory', mebibytes)
    await delay(idleMs)
    const before = residentMiB(pod)
    const outcome = (await askControl(pod, { afterwards: 'resume' }))[application]
    if (outcome?.outcome !== 'taken') throw new Error(`no checkpoint: ${JSON.stringify(outcome)}`)
    await delay(idleMs)
    const after = residentMiB(pod)
    say(`${before} MiB idle, ${after} MiB idle after a checkpoint`)
    const [without, withHttp] = [await moduleMiB('net'), await moduleMiB('http')]
    return {
      bench: 'sidecar-memory',
      // Not a ratio, but held to a bound as the ratios are: idle, whatever it did before.
      ratios: { sidecar_rss_MiB: Math.max(before, after) },
      figures: {
        idleMiB: before,
        idleAfterCheckpointMiB: after,
        bareNodeWithNetMiB: without,
        nodeHttpAddsMiB: round(withHttp - without),
      },
    }
  } finally {
    await stage.close()
  }
})

/** Of the container's Node; its guard, a few hundred kilobytes, is not counted. */
function residentMiB(pod: Pod): number {
  const sizes = pod
    .container(sidecar)
    .processes()
    .map((pid) => readFileSync(`/proc/${pid}/status`, 'utf8'))
    .filter((status) => /^Name:\t(node|MainThread)$/m.test(status))
    .map((status) => Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024)
  if (sizes.length !== 1) throw new Error(`${sizes.length} Node processes in the sidecar\n${pod.describe()}`)
  return round(sizes[0] ?? Number.NaN)
}

/** A Node that listens by means of the module and does nothing more. */
async function moduleMiB(name: 'net' | 'http'): Promise<number> {
  const source = `
    import { createServer } from 'node:${name}'
    import { readFileSync } from 'node:fs'
    const server = createServer(() => {}).listen(0, '127.0.0.1', () => setTimeout(() => {
      console.log(/VmRSS:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1])
      server.close()
    }, 1000))`
  const measured: number[] = []
  for (let sample = 0; sample < samples; sample++)
    measured.push(Number(await must([process.execPath, '--input-type=module', '-e', source])) / 1024)
  return round(median(measured))
}
