/** What the agent knows of its node's pods, against an API server that keeps the real protocol. */
import t, { type Test } from 'tap'
import type { Kube } from '../../agent/kube.ts'
import { WatchedList } from '../../agent/watched-list.ts'
import { readPod, type PodView } from '../../agent/pod-view.ts'
import { KubeServer, type KubeServerOptions } from '../kube/server.ts'
import { kubeTo, nodeName, podObject } from '../kube/stage.ts'
import { quietLog } from '../sidecar/quiet-log.ts'
import { until } from '../until.ts'

const uid = (at: number) => `00000000-0000-4000-8000-${String(at).padStart(12, '0')}`
const pod = (at: number, more: Partial<Parameters<typeof podObject>[0]> = {}) =>
  podObject({ uid: uid(at), name: `p${at}`, ...more })

async function watching(t: Test, options: KubeServerOptions = {}, wrap = (kube: Kube) => kube) {
  const server = await KubeServer.start(t, options)
  const ended: string[] = []
  const list = new WatchedList<PodView>({
    kube: wrap(kubeTo(server)),
    watched: { kind: 'pods', fieldSelector: `spec.nodeName=${nodeName}` },
    read: readPod,
    keyOf: ({ name }) => name,
    changed: () => undefined,
    restarted: (why) => ended.push(why),
    log: quietLog,
    pausesMs: [5, 40],
  })
  const stop = new AbortController()
  server.objects.put('pods', pod(1))
  server.objects.put('pods', pod(2, { node: 'another' }))
  const running = list.run(stop.signal)
  t.teardown(() => (stop.abort(), running))
  const names = () => [...list.items.keys()].sort().join(' ')
  const lists = () => server.asked.filter(({ isWatch }) => !isWatch)
  const watches = () => server.asked.filter(({ isWatch }) => isWatch)
  await until('the first watch', () => server.watches === 1)
  return { server, list, names, ended, lists, watches, stop, running }
}

t.test('lists the pods of its node and hears of each change', async (t) => {
  const { server, names, lists, watches, list } = await watching(t)
  t.equal(names(), 'p1', 'not those of other nodes')
  t.equal(lists()[0]?.query.get('fieldSelector'), `spec.nodeName=${nodeName}`)
  t.equal(lists()[0]?.query.get('resourceVersion'), '0', 'from the memory of the API server')
  t.equal(watches()[0]?.query.get('allowWatchBookmarks'), 'true')
  server.objects.put('pods', pod(3))
  await until('the new one', () => names() === 'p1 p3')
  server.objects.put('pods', pod(3, { metadata: { deletionTimestamp: '2026-01-02T03:04:35Z' } }))
  await until('its deletion', () => list.items.get('p3')?.deletedAtMs === Date.parse('2026-01-02T03:04:35Z'))
  server.objects.remove('pods', 'ns', 'p3')
  await until('its end', () => names() === 'p1')
  t.equal(lists().length, 1)
})

t.test('a watch that ends goes on from the newest version that was heard, and loses nothing', async (t) => {
  const { server, names, lists, watches } = await watching(t)
  server.objects.put('pods', pod(3))
  await until('it', () => names() === 'p1 p3')
  const heard = server.objects.version
  server.endWatches()
  server.objects.put('pods', pod(4))
  await until('what came between two watches', () => names() === 'p1 p3 p4')
  t.equal(lists().length, 1, 'without a second list')
  t.equal(watches().at(-1)?.query.get('resourceVersion'), String(heard))
})

for (const goneAs of ['status', 'event'] as const)
  t.test(`410 Gone as ${goneAs} leads to one new list, of the newest`, async (t) => {
    const { server, names, lists, ended } = await watching(t)
    server.goneAs = goneAs
    server.away(true)
    await until('the watch to break', () => ended.includes('failed'))
    server.objects.remove('pods', 'ns', 'p1')
    server.objects.put('pods', pod(5))
    server.objects.compact()
    server.away(false)
    await until('the new list', () => names() === 'p5')
    t.ok(ended.includes('gone'))
    t.equal(lists().length, 2)
    t.equal(lists()[1]?.query.get('resourceVersion'), null, 'never back behind what was known')
    server.objects.put('pods', pod(6))
    await until('the watch after it', () => names() === 'p5 p6')
  })

t.test('a bookmark keeps the version young where nothing of this node happens', async (t) => {
  const { server, names, lists, watches } = await watching(t)
  for (let at = 10; at < 20; at++) server.objects.put('pods', pod(at, { node: 'another' }))
  server.bookmark()
  server.objects.put('pods', pod(3))
  await until('the bookmark to be heard', () => names() === 'p1 p3')
  server.objects.remove('pods', 'ns', 'p3')
  await until('it to be gone', () => names() === 'p1')
  for (let at = 20; at < 30; at++) server.objects.put('pods', pod(at, { node: 'another' }))
  const { version } = server.objects
  server.objects.compact()
  server.bookmark()
  // What follows on the same connection is heard after it.
  server.objects.put('pods', pod(4))
  await until('what follows', () => names() === 'p1 p4')
  server.endWatches()
  await until('the next watch', () => server.watches === 1 && watches().length === 2)
  t.ok(Number(watches()[1]?.query.get('resourceVersion')) > version)
  t.equal(lists().length, 1)
})

t.test(
  'an API server that is away is asked again with growing pauses, and what is known stays known',
  async (t) => {
    const { server, names, ended } = await watching(t)
    server.away(true)
    await until('it to be missed', () => ended.length >= 3)
    t.equal(names(), 'p1')
    server.away(false)
    server.objects.put('pods', pod(7))
    await until('what came later', () => names() === 'p1 p7')
  },
)

t.test('errors of a list and of a watch are survived', async (t) => {
  const { server, names, ended } = await watching(t)
  server.fault = () => 500
  server.endWatches()
  await until('some', () => ended.filter((why) => why === 'failed').length >= 2)
  server.fault = () => 'drop'
  const before = ended.length
  await until('more', () => ended.length >= before + 2)
  server.fault = () => undefined
  server.objects.put('pods', pod(8))
  await until('it to be heard', () => names() === 'p1 p8')
  t.equal(names(), 'p1 p8')
})

t.test('it ends when it is told to', async (t) => {
  const { server, stop, running } = await watching(t)
  stop.abort()
  await running
  await until('the watch to be closed', () => server.watches === 0)
  t.pass('it ended')
})
