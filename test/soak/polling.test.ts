/** A day of asking a cloud for notices: at most a thousandth of a core, and memory that does not grow. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { sidecarNodeFlags } from '../../webhook/image-paths.ts'
import { AwsServer, AzureServer, GcpServer, MetadataServer } from '../sidecar/clouds/metadata-server.ts'

const hours = 24
const mostOfACore = 0.001
/** Compiled code and caches settle in the first hour; a leak of 12 bytes a question would be as much by the evening. */
const mostGrowthBytes = 1 << 20

type Hour = { asked: number; cpuMs: number; rssBytes: number; heldBytes: number }

for (const [name, server, least] of [
  ['aws', new AwsServer(), 2 * 17_280 + 2 * 2_880],
  ['gcp', new GcpServer(), 2 * 1_400],
  ['azure', new AzureServer(), 86_400],
] as const)
  t.test(`a day of asking ${name}`, async (t) => {
    await MetadataServer.start(t, server)
    const { host, port } = server.endpoint
    const argv = ['--expose-gc', ...sidecarNodeFlags, join(import.meta.dirname, 'polling-day.ts'), name, host, String(port), String(hours)] // prettier-ignore
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
    t.teardown(() => child.kill('SIGKILL'))
    const told = (await text(child.stdout)).trimEnd().split('\n').map((line) => JSON.parse(line) as Hour) // prettier-ignore
    const [first, last] = [told[0], told.at(-1)]
    if (first === undefined || last === undefined) throw new Error('nothing was told')
    const share = last.cpuMs / (hours * 3_600_000)
    const growth = last.heldBytes - first.heldBytes
    t.comment(`${name}: ${last.asked} answers, ${Math.round(last.cpuMs)} ms of CPU time in ${hours} h (${(100 * share).toFixed(4)} % of a core), ${(growth / 1024).toFixed(0)} KiB more held than after an hour, ${(last.rssBytes / 2 ** 20).toFixed(1)} MiB resident`) // prettier-ignore
    t.ok(last.asked >= least, `every question of a day: ${last.asked} of ${least}`)
    t.ok(share <= mostOfACore, `${100 * share} % of a core`)
    t.ok(growth <= mostGrowthBytes, `${growth} bytes more after ${hours} hours than after one`)
  })
