import t from 'tap'
import { Lease } from '../../certs/lease.ts'
import type { KubeApi } from '../../src/kube-api.ts'
import { TestApiServer } from './api-server.ts'
import { leasePath, names } from './cluster-stage.ts'

const name = { namespace: names.namespace, name: names.secret }

async function setUp(test: { teardown: (done: () => unknown) => unknown }) {
  const server = await TestApiServer.start(test)
  let nowMs = 0
  const lease = (identity: string, api: KubeApi = server.api()) =>
    new Lease({ ...name, api, identity, clock: () => nowMs })
  const specIn = () => server.objects.get(leasePath)?.spec ?? {}
  return { server, lease, specIn, wait: (ms: number) => void (nowMs += ms) }
}

t.test('the first takes it, and holds it without asking until little is left', async (t) => {
  const { server, lease, specIn, wait } = await setUp(t)
  const one = lease('one')
  t.same(await one.hold(), { held: true, since: 'now' })
  t.match(specIn(), { holderIdentity: 'one', leaseDurationSeconds: 15, leaseTransitions: 0 })
  server.requests.length = 0
  wait(8_000)
  t.same(await one.hold(), { held: true, since: 'before' })
  t.same(server.requests, [])
  const { acquireTime, renewTime } = specIn()
  server.aheadMs = 10_000
  wait(2_000)
  t.same(await one.hold(), { held: true, since: 'before' }, 'renewed')
  t.equal(specIn().acquireTime, acquireTime)
  t.not(specIn().renewTime, renewTime)
  t.match(server.requests, [/^GET/, /^PUT/])
})

t.test('another one waits for as long as it has not seen it change, whatever the clocks say', async (t) => {
  const { server, lease, specIn, wait } = await setUp(t)
  const one = lease('one')
  const two = lease('two')
  await one.hold()
  server.aheadMs = 3_600_000
  t.same(await two.hold(), { held: false, by: 'one' })
  wait(14_000)
  t.same(await two.hold(), { held: false, by: 'one' })
  await one.hold()
  wait(2_000)
  t.same(await two.hold(), { held: false, by: 'one' }, 'it was renewed in between')
  wait(15_000)
  t.same(await two.hold(), { held: true, since: 'now' })
  t.match(specIn(), { holderIdentity: 'two', leaseTransitions: 1 })
  t.same(await one.hold(), { held: false, by: 'two' }, 'and the first one has lost it')
})

t.test('a released lease is free at once', async (t) => {
  const { lease, specIn } = await setUp(t)
  const one = lease('one')
  await one.hold()
  await one.release()
  t.equal(specIn().holderIdentity, '')
  t.same(await lease('two').hold(), { held: true, since: 'now' })
  await one.release()
  t.equal(specIn().holderIdentity, 'two', 'nobody releases what is another’s')
})

t.test('of many that are after it at once, one gets it', async (t) => {
  const { lease, wait } = await setUp(t)
  const all = Array.from({ length: 8 }, (_, index) => lease(`n${index}`))
  const heldBy = async () =>
    (await Promise.all(all.map((one) => one.hold()))).filter(({ held }) => held).length
  t.equal(await heldBy(), 1, 'when it is made')
  t.equal(await heldBy(), 1, 'by the same')
  wait(15_000)
  t.ok((await heldBy()) <= 1, 'when it has run out')
})

t.test('a holder that stood still does not believe that it holds it', async (t) => {
  const { lease, wait } = await setUp(t)
  const one = lease('one')
  const two = lease('two')
  await one.hold()
  await two.hold()
  wait(15_000)
  t.same(await two.hold(), { held: true, since: 'now' })
  wait(1_000)
  t.same(await one.hold(), { held: false, by: 'two' })
})

t.test('an answer that was lost is no hold, and no loss', async (t) => {
  const { server, lease } = await setUp(t)
  const one = lease('one')
  server.fault = ({ isWrite }) => (isWrite ? 'drop-after' : undefined)
  await t.rejects(one.hold())
  server.fault = () => undefined
  t.same(await one.hold(), { held: true, since: 'now' }, 'it was ours all along')
})

t.test('a refusal is told in the API server’s words, and a release that fails is nothing', async (t) => {
  const { server, lease } = await setUp(t)
  const one = lease('one')
  await one.hold()
  server.fault = () => 403
  await t.rejects(lease('two').hold(), {
    code: 'command-failed',
    message: /read the Lease.*403 \(as the test/,
  })
  await one.release()
  server.fault = ({ isWrite }) => (isWrite ? 500 : undefined)
  await t.rejects(lease('one').hold(), { message: /write the Lease.*500/ })
})

t.test('a lease that somebody has emptied is taken', async (t) => {
  const { server, lease, specIn } = await setUp(t)
  server.put(leasePath, { kind: 'Lease', metadata: {} })
  t.same(await lease('one').hold(), { held: true, since: 'now' })
  t.match(specIn(), { holderIdentity: 'one', leaseTransitions: 1 })
})
