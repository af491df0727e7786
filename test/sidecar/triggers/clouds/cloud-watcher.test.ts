import { pino } from 'pino'
import t, { type Test } from 'tap'
import { Aws } from '../../../../sidecar/triggers/clouds/aws.ts'
import { Azure } from '../../../../sidecar/triggers/clouds/azure.ts'
import type { Cloud } from '../../../../sidecar/triggers/clouds/cloud.ts'
import { CloudWatcher, type WatcherPace } from '../../../../sidecar/triggers/clouds/cloud-watcher.ts'
import { cloudsOf } from '../../../../sidecar/triggers/clouds/clouds.ts'
import { Gcp } from '../../../../sidecar/triggers/clouds/gcp.ts'
import type { Notice } from '../../../../sidecar/triggers/notices/notice.ts'
import { SourceBook } from '../../../../sidecar/triggers/notices/source-book.ts'
import { fakeClock } from '../../../fake-clock.ts'
import { until } from '../../../until.ts'
import { AwsServer, AzureServer, GcpServer, MetadataServer } from './metadata-server.ts'

const quick: WatcherPace = { lookSoonMs: 10, lookAgainMs: 50, lostAfter: 3, jitter: 0.1 }

/** The cloud's own questions, asked so often. */
function hurried(cloud: Cloud, everyMs = 10, slowestMs = 40): Cloud {
  return {
    name: cloud.name,
    probe: (signal) => cloud.probe(signal),
    get clockAheadMs() {
      return cloud.clockAheadMs
    },
    watches: () => cloud.watches().map(({ source, read }) => ({ source, everyMs, slowestMs, read })),
  }
}

function watch(t: Test, clouds: Cloud[], pace = quick) {
  const lines: { msg: string }[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line) as { msg: string }) }) // prettier-ignore
  const book = new SourceBook()
  const said = new Map<string, Notice[]>()
  const watcher = new CloudWatcher(clouds, (source, notices) => void said.set(source, notices), book, log)
  t.teardown(() => watcher.stop())
  watcher.start(pace)
  const logged = (pattern: RegExp) => lines.filter(({ msg }) => pattern.test(msg)).length
  return { watcher, book, said, logged }
}
const all = (endpoint: { host: string; port: number }) =>
  [new Aws(endpoint), new Gcp(endpoint), new Azure(endpoint)].map((cloud) => hurried(cloud))

for (const [name, server] of [
  ['aws', new AwsServer()],
  ['gcp', new GcpServer()],
  ['azure', new AzureServer()],
] as const)
  t.test(`finds out that the machine is of ${name}, and asks it alone`, async (t) => {
    await MetadataServer.start(t, server)
    const { watcher, book, said, logged } = watch(t, all(server.endpoint))
    await until('the cloud to be found', () => watcher.found === name)
    const sources = all(server.endpoint).find((cloud) => cloud.name === name)?.watches().map(({ source }) => source) ?? [] // prettier-ignore
    await until('every source to have answered', () => sources.every((source) => said.has(source)))
    t.equal(logged(/a cloud answers/), 1)
    t.equal([...said.keys()].every((source) => source.startsWith(name)), true) // prettier-ignore
    t.same(book.states.map(({ source }) => source).toSorted(), [name, ...sources].toSorted()) // prettier-ignore
    t.ok(book.states.every(({ reachable }) => reachable))
  })

t.test('no cloud costs one log line, and is looked for again', async (t) => {
  const server = new AwsServer()
  await server.listen()
  const { endpoint } = server
  await server.close()
  const { watcher, book, logged } = watch(t, all(endpoint))
  await until('several looks', () => (book.states.find(({ source }) => source === 'aws')?.failures ?? 0) > 3)
  t.equal(logged(/no cloud answers/), 1)
  t.match(book.states, [{ source: 'aws', reachable: false, lastFailure: /cannot be reached/ }, {}, {}])
  await server.listen(endpoint.port)
  t.teardown(() => server.close())
  await until('the cloud to be found', () => watcher.found === 'aws')
  t.equal(logged(/a cloud answers/), 1)
})

t.test('a metadata server that hides the notices costs one log line, and is looked at again', async (t) => {
  const server = await MetadataServer.start(t, new GcpServer())
  server.gke = 'with the flavor'
  const { watcher, book, said, logged } = watch(t, all(server.endpoint))
  await until('several looks', () => (book.states.find(({ source }) => source === 'gcp')?.failures ?? 0) > 3)
  t.equal(watcher.found, undefined)
  t.equal(logged(/hides the notices/), 1)
  t.equal(logged(/a cloud answers|no cloud answers/), 0)
  t.match(
    book.states.find(({ source }) => source === 'gcp'),
    { reachable: false, answers: 0, lastFailure: /GKE/ },
  )
  t.equal(said.size, 0)
  server.gke = false
  await until('the cloud to be found', () => watcher.found === 'gcp')
})

t.test("a cloud whose clock is another one than the machine's is told of once", async (t) => {
  const server = await MetadataServer.start(t, new AwsServer())
  server.clockAheadMs = 3_600_000
  const { said, logged } = watch(t, [hurried(new Aws(server.endpoint))])
  await until('every source to have answered', () => said.size === 4)
  t.equal(logged(/clock of the cloud is not that of this machine/), 1)
})

t.test('a short notice is not missed by failures before it', async (t) => {
  const urgent = new Map(
    [new Aws(), new Gcp(), new Azure()].flatMap((cloud) => cloud.watches()).map((one) => [one.source, one]),
  )
  // How long before the end it is told; a sixth of it at most is lost.
  for (const [source, noticeMs] of [
    ['azure/scheduledevents', 30_000],
    ['gcp/preempted', 30_000],
    ['gcp/maintenance-event', 60_000],
    ['aws/instance-action', 120_000],
  ] as const)
    t.ok((urgent.get(source)?.slowestMs ?? Number.POSITIVE_INFINITY) <= noticeMs / 6, source)
  t.ok([...urgent.values()].every(({ everyMs, slowestMs }) => slowestMs >= everyMs && slowestMs <= 30_000))
})

t.test('a cloud that falls silent is looked for again, and its notices stand', async (t) => {
  const server = new AzureServer()
  await server.listen()
  const { endpoint } = server
  const NotBefore = new Date(Date.now() + 30_000).toUTCString()
  server.schedule({ EventId: 'e', EventType: 'Preempt', EventStatus: 'Scheduled', Resources: [server.machine], NotBefore }) // prettier-ignore
  const { watcher, book, said, logged } = watch(t, [hurried(new Azure(endpoint))])
  await until('the notice', () => said.get('azure/scheduledevents')?.length === 1)
  await server.close()
  await until('the cloud to be given up', () => watcher.found === undefined)
  await until('a look for it', () => logged(/no cloud answers/) === 1)
  t.equal(logged(/does not answer any more/), 1)
  t.equal(said.get('azure/scheduledevents')?.length, 1, 'silence withdraws nothing')
  t.match(
    book.states.find(({ source }) => source === 'azure/scheduledevents'),
    { reachable: false },
  )
  await server.listen(endpoint.port)
  t.teardown(() => server.close())
  await until('the cloud to be found again', () => watcher.found === 'azure')
})

t.test('a cloud that answers badly is asked less often, and not given up', async (t) => {
  const server = await MetadataServer.start(t, new AzureServer())
  const { watcher, book, said, logged } = watch(t, [hurried(new Azure(server.endpoint), 2)])
  await until('an answer', () => said.size > 0)
  const asked = () => server.asked.filter((line) => line.includes('scheduledevents')).length
  server.misbehave(/scheduledevents/, '429')
  const before = asked()
  await until('ten failures', () => (book.states.find(({ source }) => source.includes('events'))?.failures ?? 0) >= 10, 10_000) // prettier-ignore
  t.equal(watcher.found, 'azure')
  const began = Date.now()
  const from = asked()
  await until('three more', () => asked() >= from + 3)
  t.ok(
    Date.now() - began >= 2 * 36 - 10,
    `three questions in ${Date.now() - began} ms, ${from - before} before`,
  )
  server.behave()
  server.schedule({ EventId: 'e', EventType: 'Preempt', EventStatus: 'Scheduled', Resources: [server.machine], NotBefore: '' }) // prettier-ignore
  await until('the notice', () => said.get('azure/scheduledevents')?.length === 1)
  t.equal(logged(/does not answer any more/), 0)
  t.equal(logged(/does not answer as it should/), 1, 'told once')
})

t.test('stops when it is told to, also while it waits for a change', async (t) => {
  const server = await MetadataServer.start(t, new GcpServer())
  const { watcher, said } = watch(t, [hurried(new Gcp(server.endpoint))])
  await until('both to wait', () => server.waiting('preempted') + server.waiting('maintenance-event') === 2)
  await watcher.stop()
  t.equal(said.size, 2)
  const asked = server.asked.length
  await new Promise((resolve) => setTimeout(resolve, 100))
  t.equal(server.asked.length, asked)
})

t.test('the administrator names the cloud, or has it found out, or wants none', async (t) => {
  const endpoint = { host: '127.0.0.1', port: 1 }
  for (const [name, names] of [
    ['auto', ['aws', 'gcp', 'azure']],
    ['none', []],
    ['gcp', ['gcp']],
  ] as const)
    t.same(
      cloudsOf({ name, endpoint }).map((cloud) => cloud.name),
      names,
    )
})

t.test('the pauses are drawn, so that the pods of a machine do not ask as one', async (t) => {
  const clock = fakeClock(t, { stepMs: 1 })
  const asked: number[] = []
  const cloud: Cloud = {
    name: 'aws',
    probe: async () => true,
    watches: () => [
      { source: 'aws/x', everyMs: 40, slowestMs: 40, read: async () => (asked.push(clock.ms()), []) },
    ],
  }
  watch(t, [cloud], { ...quick, jitter: 0.5 })
  await clock.until('thirty questions', () => asked.length > 30)
  const pauses = asked.slice(1).map((at, index) => at - (asked[index] ?? 0))
  t.ok(Math.min(...pauses) >= 20 && Math.min(...pauses) < 35, `the shortest of ${Math.min(...pauses)} ms`)
  t.ok(Math.max(...pauses) > 45 && Math.max(...pauses) <= 62, `the longest of ${Math.max(...pauses)} ms`)
})
