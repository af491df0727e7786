import t from 'tap'
import { recorded, samplePod } from '../admission-fixtures.ts'
import { sample, startWebhook } from '../running-webhook.ts'
import { connecting, creating, debugging, protectedPod } from './requests.ts'

const reviewOf = (request: object) =>
  JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request })

t.test('the guard answers over HTTPS, says who was denied what, and counts it', async (t) => {
  const { client, webhook, log } = await startWebhook(t)
  const exec = await client.post(
    '/validate?timeout=5s',
    reviewOf(connecting({ container: 'reprieve-sidecar' })),
  )
  t.match(exec.review, {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: {
      uid: recorded('connect-exec').request.uid,
      allowed: false,
      auditAnnotations: { outcome: 'deny', reason: 'into-reprieve' },
      status: { code: 403, reason: 'Forbidden', message: /exec into reprieve-sidecar/ },
    },
  })
  const debug = await client.post('/validate', reviewOf(debugging(protectedPod(), [{ name: 'debugger' }])))
  t.same(debug.review.response, {
    uid: recorded('update-ephemeralcontainers').request.uid,
    allowed: true,
    auditAnnotations: { outcome: 'allow' },
  })
  t.match(
    log.find(({ msg }) => msg === 'judged a request'),
    { user: 'jane', name: 'trainer-0', subResource: 'exec', outcome: 'deny', reason: 'into-reprieve' },
  )
  const metrics = await (await fetch(`http://127.0.0.1:${webhook.adminPort}/metrics`)).text()
  t.match(metrics, 'reprieve_guard_verdicts_total{outcome="allow",reason=""} 1\n')
  t.match(metrics, 'reprieve_guard_verdicts_total{outcome="deny",reason="into-reprieve"} 1\n')
  t.match(metrics, 'reprieve_guard_verdicts_total{outcome="deny",reason="pretended"} 0\n')
  t.match(metrics, 'reprieve_admissions_total{')
})

t.test('a review that cannot be read is denied', async (t) => {
  const { client, webhook } = await startWebhook(t)
  const request = { ...connecting({ container: 'reprieve-sidecar' }), resource: 'pods' }
  const { status, review } = await client.post('/validate', reviewOf(request))
  t.equal(status, 200)
  t.match(review.response, { allowed: false, status: { code: 403 } })
  t.equal(
    sample(
      await webhook.metrics.text(),
      'reprieve_guard_verdicts_total{outcome="deny",reason="review-unreadable"}',
    ),
    1,
  )
  t.equal((await client.post('/validate', '{}')).status, 400)
})

t.test('the path says to which standard a pod is held', async (t) => {
  const { client, webhook, log } = await startWebhook(t)
  const review = reviewOf(creating(samplePod()))
  const baseline = await client.post('/validate/pod-security/baseline', review)
  t.match(baseline.review.response, { allowed: true })
  const restricted = await client.post('/validate/pod-security/restricted', review)
  t.match(restricted.review.response, {
    allowed: false,
    auditAnnotations: { outcome: 'deny', reason: 'violates-pod-security' },
    status: { code: 403, reason: 'Forbidden', message: /allowPrivilegeEscalation/ },
  })
  t.match(
    log.find(({ reason }) => reason === 'violates-pod-security'),
    { msg: 'judged a request', user: 'jane', outcome: 'deny' },
  )
  const metrics = await webhook.metrics.text()
  t.equal(sample(metrics, 'reprieve_guard_verdicts_total{outcome="deny",reason="violates-pod-security"}'), 1)
  t.equal(sample(metrics, 'reprieve_admission_duration_seconds_count{entry="guard"}'), 2)
})
