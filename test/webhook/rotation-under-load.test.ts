/**
 * CA and leaf are replaced while both replicas are asked 200 times a second, by clients that trust what stands in the caBundle and nothing else.
 * Everything is a process of its own: two webhooks, two that keep the certificates. In `make soak` whoever rotates is killed after its first write.
 */
import { X509Certificate } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { makeAuthority, makeLeaf } from '../../certs/authority.ts'
import { certificatesIn } from '../../certs/certificate-set.ts'
import {
  bundlesIn,
  isTrusted,
  leasePath,
  names,
  secretIn,
  secretPath,
  serviceHost,
} from '../certs/cluster-stage.ts'
import { AdmissionLoad } from './admission-load.ts'
import { ControlPlane, readinessOf, untilReady } from './control-plane.ts'

const soaking = process.env.REPRIEVE_SOAK === '1'
const perSecond = 200
const second = 1 / 86_400
/** Left of the old leaf when it begins: whoever was killed must be waited out, and a busy machine may take long until all are started. */
const leafLeftSeconds = soaking ? 60 : 40

const start = new Date()
const ago = (seconds: number) => new Date(start.getTime() - seconds * 1000)

t.test('a rotation of CA and leaf under load fails no request and drops no connection', async (t) => {
  const plane = await ControlPlane.open(t)
  const { server } = plane
  // A CA of which less than a third is left: it is due. Its leaf is not, and is served.
  const left = leafLeftSeconds + 20
  const old = makeAuthority('reprieve', { from: ago(3 * left), days: 4 * left * second })
  const leaf = makeLeaf(old, [serviceHost], { from: ago(30), days: (30 + leafLeftSeconds) * second })
  const data = { 'ca.crt': old.cert, 'ca.key': old.key, 'tls.crt': leaf.cert, 'tls.key': leaf.key }
  server.put(secretPath, {
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { namespace: names.namespace },
    data: Object.fromEntries(
      Object.entries(data).map(([name, text]) => [name, Buffer.from(text).toString('base64')]),
    ),
  })
  for (const stored of server.objects.values())
    for (const { clientConfig } of stored.webhooks ?? [])
      clientConfig.caBundle = Buffer.from(old.cert).toString('base64')

  const replicas = [await plane.startWebhook('one'), await plane.startWebhook('two')]
  await Promise.all(replicas.map(untilReady))
  const load = new AdmissionLoad({
    perSecond,
    ports: () => replicas.map(({ ports }) => ports.port),
    caBundle: () => bundlesIn(server)[0] ?? '',
  })
  const begun = performance.now()
  load.begin()
  t.teardown(() => load.end())
  await sleep(2000)

  const words = [
    '--dns',
    serviceHost,
    '--secret',
    `${names.namespace}/${names.secret}`,
    '--webhook',
    'reprieve',
  ]
  const lives = ['--ca-life', '900s', '--leaf-life', '300s', '--settle', '2s', '--every', '1s']
  const keepers = ['keeper-one', 'keeper-two'].map((name) => plane.startCerts(name, [...words, ...lives]))
  const notReady: string[] = []
  const seen: string[] = []
  const see = (what: string) => void (seen.at(-1) === what || seen.push(what))
  const look = () => {
    const [bundle = ''] = bundlesIn(server)
    const hasOld = isTrusted(leaf.cert, bundle, start)
    const leafIs = secretIn(server).cert === leaf.cert ? 'old' : 'new'
    see(
      `${certificatesIn(bundle).length} trusted, the old CA ${hasOld ? 'among them' : 'gone'}, ${leafIs} leaf`,
    )
    return hasOld
  }
  // After each write: a state that lasts for two seconds may fall between two rounds of a test that waits for the machine.
  server.afterWrite = look
  let killed = !soaking
  const until = begun + (leafLeftSeconds + 45) * 1000
  for (;;) {
    for (const replica of replicas) {
      const said = await readinessOf(replica)
      if (said !== 'ok') notReady.push(said)
    }
    const hasOld = look()
    const { caBundle } = secretIn(server)
    if (!killed && certificatesIn(caBundle).length === 2) {
      killed = true
      const holder = String(server.objects.get(leasePath)?.spec?.holderIdentity)
      const rotating = keepers.find(({ log }) => log.some((line) => line.identity === holder))
      t.ok(rotating, 'it was killed in the midst of it')
      await rotating?.kill('SIGKILL')
    }
    if (!hasOld && certificatesIn(caBundle).length === 1) break
    if (performance.now() > until) throw new Error(`the rotation did not come to its end: ${seen.join('; ')}`)
    await sleep(100)
  }
  await sleep(3000)
  const asked = await load.end()
  const seconds = (performance.now() - begun) / 1000

  t.same(
    seen,
    [
      '1 trusted, the old CA among them, old leaf',
      '2 trusted, the old CA among them, old leaf',
      '2 trusted, the old CA among them, new leaf',
      '1 trusted, the old CA gone, new leaf',
    ],
    'the order of a rotation',
  )
  const [first] = asked
  const failed = asked.filter(({ outcome }) => !('status' in outcome) || outcome.status !== 200)
  t.same(failed.slice(0, 5), [], `${failed.length} of ${asked.length} failed`)
  const answers = new Set(asked.map(({ outcome }) => ('text' in outcome ? outcome.text : outcome.error)))
  t.equal(answers.size, 1, 'all answers are the same')
  t.match(first?.outcome, { text: /"patch":/ })
  t.ok(asked.length >= perSecond * seconds * 0.2, `${asked.length} requests in ${seconds.toFixed(1)} s`)
  t.same(notReady, [], 'both replicas were ready all the time')

  for (const [index] of replicas.entries()) {
    const kept = asked.filter(({ replica, kind }) => replica === index && kind === 'kept')
    const connections = new Set(kept.map(({ localPort }) => localPort))
    t.ok(connections.size <= 3, `${kept.length} requests on ${connections.size} connections from before`)
  }
  for (const { log } of replicas)
    t.ok(
      log.some(({ msg }) => msg === 'reloaded the serving certificate'),
      'the new leaf was loaded by the running process',
    )
  t.ok(new X509Certificate(leaf.cert).validToDate < new Date(), 'no replica can serve the old leaf any more')
  const newConnections = asked.filter(({ kind }) => kind === 'new').length
  t.comment(`${asked.length} requests, ${newConnections} of them on new connections, ${failed.length} failed, in ${seconds.toFixed(1)} s`) // prettier-ignore
})
