/** A day of asking a cloud for notices, and of looking for files: at most a thousandth of a core, and memory that does not grow. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { sidecarNodeFlags } from '../../webhook/image-paths.ts'
import {
  AwsServer,
  AzureServer,
  GcpServer,
  MetadataServer,
} from '../sidecar/triggers/clouds/metadata-server.ts'
import { hardDay } from './hard-day.ts'

const hours = 24
const mostOfACore = 0.001
/** Compiled code and caches settle in the first hour; a leak of 12 bytes a question would be as much by the evening. */
const mostGrowthBytes = 1 << 20

/** Of one that takes more than it may, so many are tried. */
const mostMinutes = 3

type Told = {
  cpuMs: number
  rssBytes: number
  heldBytes: number
  answers: number
  failures: number
  noticesSeen: number
}

async function tellOf(t: Test, program: string, ...args: (string | number)[]) {
  const argv = [...sidecarNodeFlags, '--expose-gc', join(import.meta.dirname, program), ...args.map(String)]
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const told = (await text(child.stdout)).trimEnd().split('\n').map((line) => JSON.parse(line) as Told) // prettier-ignore
  const [first, last] = [told[0], told.at(-1)]
  if (first === undefined || last === undefined) throw new Error('nothing was told')
  return { first, last }
}

function scratch(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'reprieve-soak-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function judge(t: Test, what: string, { first, last }: { first: Told; last: Told }): void {
  const share = last.cpuMs / (hours * 3_600_000)
  const growth = last.heldBytes - first.heldBytes
  t.comment(`${what}: ${last.answers} answers and ${last.failures} failures, ${last.noticesSeen} notices, ${Math.round(last.cpuMs)} ms of CPU time in ${hours} h (${(100 * share).toFixed(4)} % of a core), ${(growth / 1024).toFixed(0)} KiB more held than after an hour, ${(last.rssBytes / 2 ** 20).toFixed(1)} MiB resident`) // prettier-ignore
  t.ok(share <= mostOfACore, `${100 * share} % of a core`)
  t.ok(growth <= mostGrowthBytes, `${growth} bytes more after ${hours} hours than after one`)
}

const [aws, gcp, azure] = [new AwsServer(), new GcpServer(), new AzureServer()]
const action = (hour: number) => JSON.stringify({ action: 'terminate', time: inTwoMinutes(hour).toISOString() }) // prettier-ignore
const inTwoMinutes = (hour: number) => new Date(Math.floor(Date.now() / 1_000) * 1_000 + 120_000 + hour)
const event = (hour: number) => ({ EventId: `${hour}`, EventType: 'Preempt', EventStatus: 'Scheduled', Resources: [azure.machine], NotBefore: inTwoMinutes(hour).toUTCString() }) // prettier-ignore

for (const { name, server, lead, anHour, least, announce, withdraw } of [
  {
    name: 'aws',
    server: aws,
    lead: /instance-action/,
    anHour: 720,
    least: 2 * 17_280 + 2 * 2_880,
    announce: (hour: number) => aws.announced.set('spot/instance-action', action(hour)),
    withdraw: () => aws.announced.delete('spot/instance-action'),
  },
  {
    name: 'gcp',
    server: gcp,
    lead: /preempted/,
    anHour: 59,
    least: 2 * 1_400,
    announce: () => gcp.change('preempted', 'TRUE'),
    withdraw: () => gcp.change('preempted', 'FALSE'),
  },
  {
    name: 'azure',
    server: azure,
    lead: /scheduledevents/,
    anHour: 3_600,
    least: 86_400,
    announce: (hour: number) => azure.schedule(event(hour)),
    withdraw: () => azure.schedule(),
  },
])
  t.test(`a day of asking ${name}, with a notice every hour and failures all day`, async (t) => {
    await MetadataServer.start(t, server)
    server.mood = hardDay({ lead, anHour, announce, withdraw })
    const { host, port } = server.endpoint
    const told = await tellOf(t, 'polling-day.ts', name, host, port, hours)
    const { answers, failures, noticesSeen } = told.last
    judge(t, name, told)
    t.ok(answers + failures >= least, `every question of a day: ${answers + failures} of ${least}`)
    t.ok(failures / answers > 0.01 && failures / answers < 0.05, `${failures} failures`)
    t.ok(noticesSeen >= hours - 1 && noticesSeen <= hours + 1, `${noticesSeen} notices`)
  })

t.test('a day of looking into the folder', async (t) => {
  const told = await tellOf(t, 'folder-day.ts', scratch(t), hours)
  judge(t, 'folder', told)
  t.ok(told.last.answers >= hours * 3_600 - 1, `${told.last.answers} looks`)
  t.equal(told.last.noticesSeen, hours)
})

t.test('a minute at the real pace', async (t) => {
  const seconds = 60
  const minute = async (...args: (string | number)[]) => {
    const shares: number[] = []
    // Whatever else the machine does makes it more, never less.
    while (shares.length < mostMinutes && (shares.at(-1) ?? 1) > mostOfACore) {
      const { last } = await tellOf(t, 'real-minute.ts', seconds, ...args)
      shares.push(last.cpuMs / (seconds * 1_000))
      t.ok(last.answers > 0 && last.failures === 0, `${args[0]}: nothing but answers`)
    }
    const told = `${args[0]}: ${shares.map((share) => (100 * share).toFixed(4)).join(', ')} % of a core`
    t.comment(told)
    return shares.at(-1) ?? 1
  }
  const servers = { aws: new AwsServer(), gcp: new GcpServer(), azure: new AzureServer() }
  for (const server of Object.values(servers)) await MetadataServer.start(t, server)
  // Side by side: they sleep nearly all of the time.
  const clouds = Object.entries(servers).map(([name, { endpoint }]) => minute(name, endpoint.host, endpoint.port)) // prettier-ignore
  const [folder = 1, ...shares] = await Promise.all([minute('folder', scratch(t)), ...clouds])
  // A pod has both.
  for (const share of shares) t.ok(folder + share <= mostOfACore, `${100 * (folder + share)} % of a core`)
})
