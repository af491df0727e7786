/**
 * What signing URLs for objects costs the node agent: resident memory that the SDK adds to a Node with the Kubernetes client, as it is
 * after a thousand URLs, the CPU time of one, and the size of its packages.
 */
import { must } from '../scripts/command.ts'
import { median } from './lib/beats.ts'
import { report, round, type Result } from './lib/report.ts'

const samples = 5
const urls = 1_000

/** The collector runs first: garbage is not what it costs. */
const source = `
import '@kubernetes/client-node'
const residentKiB = () => { for (let turn = 0; turn < 4; turn++) gc(); return process.memoryUsage.rss() / 1024 }
const before = residentKiB()
const { createS3Client } = await import('./agent/objects/s3-client.ts')
const { createS3Signer } = await import('./agent/objects/s3-signer.ts')
const loaded = residentKiB()
Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'A', AWS_SECRET_ACCESS_KEY: 'S' })
const client = createS3Client({ region: 'us-east-1', endpoint: 'http://127.0.0.1:1', pathStyle: true })
const signer = createS3Signer({ name: 'bench', client, bucket: 'b', prefix: 'p/' })
const { signal } = new AbortController()
const cpu = process.cpuUsage()
for (let index = 0; index < ${urls}; index++)
  await signer.sign({ method: 'PUT', key: 'k/' + index, ifAbsent: true }, { signal, anew: false })
const { user, system } = process.cpuUsage(cpu)
console.log(JSON.stringify([loaded - before, residentKiB() - before, (user + system) / ${urls}]))
`

await report({ signer_rss_MiB: 64 }, async (): Promise<Result> => {
  const measured: number[][] = []
  for (let sample = 0; sample < samples; sample++) {
    const node = [process.execPath, '--expose-gc', '--input-type=module', '-e', source]
    measured.push(JSON.parse(await must(node, { deadlineMs: 120_000 })) as number[])
  }
  const middle = (index: number) => median(measured.map((sample) => sample[index] ?? Number.NaN))
  const packages = await must(['sh', '-c', 'du -sck node_modules/@aws-sdk node_modules/@smithy node_modules/@aws | tail -n 1 | cut -f 1']) // prettier-ignore
  return {
    bench: 'signer-memory',
    // Not a ratio, but held to a bound as the ratios are.
    ratios: { signer_rss_MiB: round(middle(1) / 1024) },
    figures: {
      loadedMiB: round(middle(0) / 1024),
      cpuMicrosecondsPerUrl: Math.round(middle(2)),
      packagesMiB: round(Number(packages) / 1024),
    },
  }
})
