/** A process that keeps certificates is killed between any two of its writes, and the next one goes on; two are at it at once. */
import t from 'tap'
import { certificatesIn } from '../../certs/certificate-set.ts'
import type { TestApiServer } from './api-server.ts'
import { bundlesIn, dayMs, isTrusted, keeper, openCluster, secretIn, secretPath } from './cluster-stage.ts'
import { watchServedLeaves, type Watch } from './served-leaves.ts'

type Test = { teardown: (done: () => unknown) => unknown }
type Asserting = {
  same: (found: unknown, wanted: unknown, message: string) => unknown
  equal: (found: unknown, wanted: unknown, message: string) => unknown
  ok: (found: unknown, message: string) => unknown
}

/** How a cluster comes to where something is to be done, and which leaves are served there. */
const situations: Record<string, (server: TestApiServer) => Promise<string[]>> = {
  'at the first start': async () => [],
  'when a leaf is due': async (server) => grown(server, [61]),
  'when an authority is due': async (server) => grown(server, [180, 201]),
  'when an old authority may go': async (server) => grown(server, [180, 201, 205], 271),
  'when the Secret was deleted': async (server) => {
    const served = await grown(server, [1])
    server.objects.delete(secretPath)
    return served
  },
  'when the Secret holds nonsense': async (server) => {
    const served = await grown(server, [1])
    const stored = server.objects.get(secretPath)
    if (stored !== undefined)
      server.put(secretPath, { ...stored, data: { 'tls.crt': 'AA==', 'tls.key': '' } })
    return served
  },
  'when an old Secret was restored': async (server) => {
    await grown(server, [1])
    const backup = structuredClone(server.objects.get(secretPath))
    const served = await grown(server, [180, 201, 205, 271])
    if (backup !== undefined) server.put(secretPath, backup)
    return served
  },
}

/** The last day is only come to: nothing is done on it. */
async function grown(server: TestApiServer, days: number[], last = days.at(-1) ?? 0): Promise<string[]> {
  for (const day of [0, ...days.filter((day) => day !== last)]) {
    server.aheadMs = day * dayMs
    await keeper(server).pass()
  }
  server.aheadMs = last * dayMs
  const { cert } = secretIn(server)
  return bundlesIn(server).every((bundle) => isTrusted(cert, bundle, server.now())) ? [cert] : []
}

/** Come to once, since making keys takes time, and had as often as one likes. */
async function situation(test: Test, come: (server: TestApiServer) => Promise<string[]>) {
  const original = await openCluster(test)
  const served = await come(original)
  return async (test: Test) => {
    const server = await openCluster(test)
    server.copy(original)
    return { server, watch: watchServedLeaves(server, served) }
  }
}

/** Whoever comes later, until all is done. */
async function finish(server: TestApiServer): Promise<void> {
  let nowMs = 0
  const next = keeper(server, { identity: 'next', clock: () => nowMs })
  for (let passes = 0; ; passes++) {
    const { state } = await next.pass()
    if (state === 'done') return
    if (passes > 10) throw new Error(`the next one does not come to an end: ${state}`)
    nowMs += 16_000
  }
}

function proveWhole(t: Asserting, server: TestApiServer, watch: Watch, message: string): void {
  t.same(watch.broken, [], message)
  const bundles = bundlesIn(server)
  t.equal(new Set(bundles).size, 1, message)
  t.ok(isTrusted(secretIn(server).cert, bundles[0] ?? '', server.now()), message)
  t.ok(certificatesIn(bundles[0] ?? '').length <= 3, message)
}

for (const [when, come] of Object.entries(situations))
  t.test(when, async (t) => {
    const again = await situation(t, come)
    t.test('killed before each of its writes', async (t) => {
      let survived = false
      let instants = 0
      while (!survived) {
        const { server, watch } = await again(t)
        let left = instants++
        let isDead = false
        server.fault = ({ isWrite }) => {
          if (isWrite && left-- === 0) isDead = true
          return isDead ? 'drop' : undefined
        }
        survived = await keeper(server)
          .pass()
          .then(
            () => !isDead,
            () => false,
          )
        server.fault = () => undefined
        await finish(server)
        proveWhole(t, server, watch, `write ${instants}`)
        server.close()
      }
      // The lease, one at least, and the lease's end.
      t.ok(instants > 3, `${instants} instants`)
    })

    t.test('two at once', async (t) => {
      const { server, watch } = await again(t)
      const [one, two] = [keeper(server, { identity: 'one' }), keeper(server, { identity: 'two' })]
      for (let round = 0; round < 20; round++) {
        const kept = await Promise.all([one.pass(), two.pass()])
        if (kept.every(({ state }) => state === 'done')) break
      }
      await finish(server)
      proveWhole(t, server, watch, 'two at once')
    })
  })

t.test('through three years, by two that are restarted and killed at random', async (t) => {
  const server = await openCluster(t)
  const watch = watchServedLeaves(server)
  // A fixed sequence: what fails can be had again.
  let seed = 7
  const random = () => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648
  let nowMs = 0
  const clock = () => nowMs
  let kills = 0
  for (let day = 0; day < 1095; day += 1 + Math.floor(random() * 18)) {
    server.aheadMs = day * dayMs
    nowMs += 86_400_000
    let left = random() < 0.5 ? Math.floor(random() * 14) : Infinity
    server.fault = () => (left-- > 0 ? undefined : random() < 0.5 ? 'drop' : 'drop-after')
    const pair = ['one', 'two'].map((identity) => keeper(server, { identity: `${identity}-${day}`, clock }))
    const ended = await Promise.allSettled(pair.map(({ pass }) => pass()))
    kills += ended.filter(({ status }) => status === 'rejected').length
    server.fault = () => undefined
    nowMs += 16_000
    await keeper(server, { identity: `late-${day}`, clock }).pass()
    nowMs += 16_000
    t.ok(certificatesIn(secretIn(server).caBundle).length <= 3, `day ${day}`)
  }
  t.same(watch.broken, [])
  t.ok(kills > 10, `${kills} kills`)
})
