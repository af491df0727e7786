/** One line for each answer, by which whoever has the request's uid finds out what was decided and why. */
import t from 'tap'
import { admit } from '../../webhook/admit.ts'
import { recordedReviews, recorded, sampleConfig, samplePod } from './admission-fixtures.ts'
import { startWebhook, type LogLine } from './running-webhook.ts'
import { connecting } from './guard/requests.ts'

const config = sampleConfig()
const bare = recorded('create-bare-pod').request
const reviewOf = (request: object) =>
  JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request })

t.test(
  'every recorded review leaves one line, with its uid, the pod, the decision and its reasons',
  async (t) => {
    const { client, log } = await startWebhook(t)
    for (const { name, text, request } of recordedReviews()) {
      const before = log.length
      await client.post('/mutate/pod', text)
      const lines = log.slice(before)
      t.equal(lines.length, 1, name)
      const { decision } = admit(request, 'pod', config)
      t.match(lines[0], {
        event: 'review.answered',
        msg: 'answered a review',
        uid: request.uid,
        namespace: request.namespace,
        optedInBy: 'pod',
        dryRun: request.dryRun === true,
        outcome: decision.outcome,
        tookMs: Number,
      })
      if (decision.outcome === 'inject') t.equal(lines[0]?.lineage, decision.plan.lineage, name)
      else t.same(lines[0]?.reasons, decision.reasons, name)
    }
  },
)

t.test('a pod is told by its name, or by what its name is to begin with', async (t) => {
  const { client, log } = await startWebhook(t)
  const told = async (object: object) => {
    await client.post('/mutate/pod', reviewOf({ ...bare, name: '', object }))
    return log.at(-1)?.pod
  }
  t.equal(await told(samplePod()), 'train')
  t.equal(await told(samplePod({ metadata: { name: null, generateName: 'sweep-3-' } })), 'sweep-3-')
  t.equal(await told({}), undefined)
  t.equal(await told({ metadata: { name: { a: 'name' } } }), undefined)
  t.equal(String(await told({ metadata: { name: 'x'.repeat(10_000) } })).length, 253)
})

t.test(
  'a refusal leaves all its problems, a pod that is passed over the warnings that its owner got',
  async (t) => {
    const { client, log } = await startWebhook(t)
    const last = async (path: string, object: object): Promise<LogLine | undefined> => {
      await client.post(path, reviewOf({ ...bare, object }))
      return log.at(-1)
    }
    const impossible = { spec: { hostNetwork: true, hostPID: true } }
    t.match(await last('/mutate/pod', samplePod(impossible)), {
      outcome: 'refuse',
      reasons: ['host-network', 'host-pid'],
      problems: [/hostNetwork/, /hostPID/],
    })
    const silent = samplePod(impossible)
    delete silent.metadata.annotations
    t.match(await last('/mutate/namespace', silent), {
      outcome: 'skip',
      reasons: ['host-network', 'host-pid'],
      warnings: [/not protected: hostNetwork/, /not protected: hostPID/],
    })
  },
)

t.test('a dry run leaves its line and is counted nowhere, at the guard as well', async (t) => {
  const { client, webhook, log } = await startWebhook(t)
  const counted = async () => {
    const text = await (await fetch(`http://127.0.0.1:${webhook.adminPort}/metrics`)).text()
    return [...text.matchAll(/^reprieve_(?:admissions|guard_verdicts)_total\S* ([1-9]\d*)$/gm)].length
  }
  const exec = connecting({ container: 'reprieve-sidecar' })
  for (const dryRun of [true, false]) {
    await client.post('/mutate/pod', reviewOf({ ...bare, dryRun, object: samplePod() }))
    t.match(log.at(-1), { dryRun, outcome: 'inject' })
    const { review } = await client.post('/validate', reviewOf({ ...exec, dryRun }))
    t.equal(review.response.allowed, false)
    t.match(log.at(-1), { uid: exec.uid, outcome: 'deny', reason: 'into-reprieve', msg: 'judged a request' })
    t.equal(await counted(), dryRun ? 0 : 2)
  }
})
