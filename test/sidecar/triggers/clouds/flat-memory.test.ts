/** A metadata service that fails in every way, over and over, costs no memory that stays. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { Aws } from '../../../../sidecar/triggers/clouds/aws.ts'
import { Azure } from '../../../../sidecar/triggers/clouds/azure.ts'
import type { Watch } from '../../../../sidecar/triggers/clouds/cloud.ts'
import { Gcp } from '../../../../sidecar/triggers/clouds/gcp.ts'
import { AwsServer, AzureServer, GcpServer, MetadataServer, quirks, type Quirk } from './metadata-server.ts'

/** What the three are asked for, but for tokens and names. */
const asked = /meta-data|preempted|maintenance-event|scheduledevents/

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** What is still held when nothing is under way; a turn of the loop lets sockets close. */
async function heldBytes(): Promise<number> {
  for (let turn = 0; turn < 3; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    collect()
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** All but those that take as long as a request may. */
const quick = (Object.keys(quirks) as Quirk[]).filter((quirk) => quirk !== 'hang' && quirk !== 'a slow first byte') // prettier-ignore
const rounds = 15
const hangingAtOnce = 25
/** Less than one answer at its largest; of each failure less than a quarter of a kibibyte. */
const mostGrowthBytes = 64 << 10
/** Compiled code and caches settle; what leaks grows every time. */
const mostBlocks = 6

for (const [name, server, cloudAt] of [
  ['aws', new AwsServer(), (server: AwsServer) => new Aws(server.endpoint)],
  ['gcp', new GcpServer(), (server: GcpServer) => new Gcp(server.endpoint, { waitSeconds: 1 })],
  ['azure', new AzureServer(), (server: AzureServer) => new Azure(server.endpoint)],
] as const)
  t.test(`${name}: failures of every kind, over and over, leave nothing behind`, async (t) => {
    await MetadataServer.start(t, server)
    const never = new AbortController().signal
    const cloud = (cloudAt as (server: unknown) => Aws | Gcp | Azure)(server)
    t.equal(await cloud.probe(never), true)
    const watches = cloud.watches()
    let failures = 0
    const fail = (watch: Watch) => watch.read(never).catch(() => failures++)
    const block = async () => {
      for (let round = 0; round < rounds; round++) {
        for (const quirk of quick) {
          server.misbehave(asked, quirk)
          for (const watch of watches) await fail(watch)
        }
        server.behave()
        for (const watch of watches) await watch.read(never)
      }
      server.misbehave(asked, 'hang')
      await Promise.all(watches.flatMap((watch) => Array.from({ length: hangingAtOnce }, () => fail(watch))))
      server.behave()
      server.asked.length = 0
    }
    for (const watch of watches) await watch.read(never)
    await block()
    const each = failures
    t.ok(each >= rounds * quick.length + hangingAtOnce, 'they are failures')
    const growths: number[] = []
    for (let before = await heldBytes(); growths.length < mostBlocks;) {
      await block()
      const after = await heldBytes()
      growths.push(after - before)
      if (after - before <= mostGrowthBytes) break
      before = after
    }
    const told = growths.map((bytes) => `${(bytes / 1024).toFixed(0)} KiB`).join(', ')
    t.comment(`${name}: ${told} more held after each ${each} failures`)
    t.ok((growths.at(-1) ?? 0) <= mostGrowthBytes, `${told} more, each time`)
  })
