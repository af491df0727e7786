/**
 * Damaged AdmissionReviews through the whole server, parsing included: always a well-formed answer, in time, and nothing is left behind. A few in
 * `make test`; a million in `make soak` (REPRIEVE_SOAK), or as many as REPRIEVE_FUZZ_RUNS says. REPRIEVE_FUZZ_SEED begins elsewhere.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import jsonPatch from 'fast-json-patch'
import { pino } from 'pino'
import t from 'tap'
import { cpuMs } from '../cpu-time.ts'
import { makeAuthority, makeLeaf } from '../../certs/authority.ts'
import { admitWithImages } from '../../webhook/admit-with-images.ts'
import { Metrics } from '../../webhook/metrics.ts'
import { guardPaths } from '../../webhook/guard/route.ts'
import { at } from '../../webhook/json-path.ts'
import { Overload } from '../../webhook/overload.ts'
import type { AdmissionResponse } from '../../webhook/review.ts'
import { createServer } from '../../webhook/server.ts'
import { sampleConfig } from './admission-fixtures.ts'
import { diceOf, mutatedReview, type Dice } from './mutated-reviews.ts'

const runs = Number(process.env.REPRIEVE_FUZZ_RUNS ?? (process.env.REPRIEVE_SOAK === '1' ? 1_000_000 : 3000))
const firstSeed = Number(process.env.REPRIEVE_FUZZ_SEED ?? Date.now() % 2 ** 31)
/** Of one answer: half of what the API server waits, on a machine that may be busy with other tests. */
const deadlineMs = 5000
const mostGrowthMiB = 10
const paths = ['/mutate/pod', '/mutate/namespace', '/mutate/restricted-namespace', ...guardPaths]

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

t.test('every answer is well formed and in time, whatever the request', async (t) => {
  const validity = { from: new Date(), days: 1 }
  const config = sampleConfig()
  const overload = new Overload(config.overload, () => 0)
  const app = createServer({
    config,
    overload,
    certificate: makeLeaf(makeAuthority('fuzz', validity), ['localhost'], validity),
    metrics: new Metrics(),
    log: pino({ level: 'silent' }),
    admit: admitWithImages(undefined),
  })
  t.teardown(() => app.close())
  const ownNames = Object.getOwnPropertyNames(Object.prototype).join()
  const seen = new Map<string, number>()
  let slowestMs = 0
  let usedMiB = 0
  for (let run = 0; run < runs; run++) {
    const seed = firstSeed + run
    const dice = diceOf(seed)
    const path = paths[dice(paths.length)] ?? ''
    const payload = mutatedReview(dice)
    const begun = cpuMs()
    const reply = await app.inject({
      method: 'POST',
      url: `${path}?timeout=10s`,
      payload,
      headers: { 'content-type': 'application/json' },
    })
    const tookMs = cpuMs() - begun
    slowestMs = Math.max(slowestMs, tookMs)
    const problem =
      tookMs > deadlineMs ? `it took ${tookMs} ms` : problemOf(reply.statusCode, reply.body, payload, dice)
    if (problem !== undefined) {
      t.fail(`seed ${seed}, ${path}: ${problem}`, {
        payload: payload.slice(0, 4000),
        answer: reply.body.slice(0, 2000),
      })
      return
    }
    const kind = `${path} ${kindOf(reply.statusCode, reply.body)}`
    seen.set(kind, (seen.get(kind) ?? 0) + 1)
    // What is compiled and cached on first use is there after a tenth of the way.
    if (run === Math.floor(runs / 10)) usedMiB = usedAfterCollection()
  }
  const grownMiB = usedAfterCollection() - usedMiB
  t.equal(overload.requests, 0, 'none is thought to be under way')
  t.equal(Object.getOwnPropertyNames(Object.prototype).join(), ownNames, 'no prototype was touched')
  t.ok(grownMiB < mostGrowthMiB, `the heap grew by ${grownMiB.toFixed(1)} MiB`)
  for (const kind of [
    '/mutate/pod patched',
    '/mutate/namespace patched',
    '/mutate/pod refused',
    '/validate allowed',
    '/validate/pod-security/baseline allowed',
    '/validate/pod-security/restricted refused',
  ])
    t.ok(seen.has(kind), `some were ${kind}: the damage is not such that nothing is looked at`)
  t.comment(
    `${runs} damaged reviews from seed ${firstSeed}, all held; slowest ${slowestMs.toFixed(1)} ms, heap ${grownMiB.toFixed(1)} MiB; ${JSON.stringify(Object.fromEntries(seen))}`,
  )
})

/** Undefined if the answer is one that an API server can use. */
function problemOf(status: number, body: string, payload: string, dice: Dice): string | undefined {
  // Without a uid there is nobody to answer to.
  if (status === 400)
    return typeof at(parsed(body), 'error') === 'string' ? undefined : 'an error without its words'
  if (status !== 200) return `status ${status}`
  const review = parsed(body)
  if (at(review, 'kind') !== 'AdmissionReview' || at(review, 'apiVersion') !== 'admission.k8s.io/v1')
    return 'no AdmissionReview'
  const response = at(review, 'response') as AdmissionResponse
  const sent = parsed(payload)
  if (response.uid !== at(sent, 'request', 'uid')) return `the uid is ${String(response.uid)}`
  if (typeof response.allowed !== 'boolean') return 'neither allowed nor denied'
  if (!response.allowed && typeof response.status?.message !== 'string') return 'denied without a word'
  if (response.patch === undefined) return undefined
  if (!response.allowed || response.patchType !== 'JSONPatch') return 'a patch that is none'
  // Each patch is parsed; applying one costs as much as ten answers.
  const operations = parsed(Buffer.from(response.patch, 'base64').toString()) as jsonPatch.Operation[]
  if (!Array.isArray(operations) || operations.length === 0) return 'a patch without operations'
  if (dice(10) > 0) return undefined
  const error = jsonPatch.validate(operations, at(sent, 'request', 'object'))
  return error === undefined ? undefined : `the patch does not apply: ${error.message}`
}

function kindOf(status: number, body: string): string {
  if (status !== 200) return String(status)
  const response = at(parsed(body), 'response') as AdmissionResponse
  if (!response.allowed) return 'refused'
  return response.patch === undefined ? 'allowed' : 'patched'
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

function usedAfterCollection(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed / 1024 / 1024
}
