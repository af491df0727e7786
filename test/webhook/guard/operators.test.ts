/** Who may exec into the sidecar beside the allowed groups: asked of the API server, and anything but a yes is a no. */
import t from 'tap'
import type { KubeApi, KubeAnswer } from '../../../src/kube-api.ts'
import { startWebhook } from '../running-webhook.ts'
import { connecting, creating, debugging, nobody, protectedPod, updating, containerIn } from './requests.ts'

const sidecar = 'reprieve-sidecar'
const reviewOf = (request: object) =>
  JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request })
const exec = (container = sidecar) => ({
  ...connecting({ container }),
  namespace: 'ml-team',
  name: 'trainer-0',
  userInfo: { ...nobody, uid: 'u-1', extra: { scopes: ['a'] } },
})

function answering(answer: () => KubeAnswer | Promise<KubeAnswer>): { api: KubeApi; asked: unknown[] } {
  const asked: unknown[] = []
  const api: KubeApi = async (method, path, body) => {
    if (!path.includes('subjectaccessreviews')) return { status: 404, body: {} }
    asked.push([method, path, body])
    return answer()
  }
  return { api, asked }
}
const said =
  (status: object, code = 201) =>
  () => ({ status: code, body: { status } })

t.test(
  'whoever has the right may exec, and the API server is asked about this pod and this person',
  async (t) => {
    const { api, asked } = answering(said({ allowed: true }))
    const { client } = await startWebhook(t, { api })
    const { review } = await client.post('/validate?timeout=5s', reviewOf(exec()))
    t.match(review.response, { allowed: true })
    t.same(asked, [
      [
        'POST',
        '/apis/authorization.k8s.io/v1/subjectaccessreviews',
        {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SubjectAccessReview',
          spec: {
            user: 'jane',
            groups: nobody.groups,
            uid: 'u-1',
            extra: { scopes: ['a'] },
            resourceAttributes: {
              namespace: 'ml-team',
              verb: 'exec',
              group: 'reprieve.dev',
              resource: 'sidecars',
              name: 'trainer-0',
            },
          },
        },
      ],
    ])
    t.match((await client.post('/validate', reviewOf(exec('main')))).review.response, { allowed: true })
    t.equal(asked.length, 1, 'for the application nobody is asked')
  },
)

t.test('anything but a yes is a no', async (t) => {
  const noes: [string, () => KubeAnswer | Promise<KubeAnswer>][] = [
    ['a no', said({ allowed: false })],
    ['a veto', said({ allowed: true, denied: true })],
    ['no answer of that form', said({})],
    ['a word', said({ allowed: 'true' })],
    ['no right to ask', said({ allowed: true }, 403)],
    ['an API server that fails', () => Promise.reject(new Error('away'))],
    ['an API server that hangs', () => new Promise<KubeAnswer>(() => undefined)],
  ]
  for (const [name, answer] of noes) {
    const { client } = await startWebhook(t, { api: answering(answer).api })
    const { review } = await client.post('/validate?timeout=5s', reviewOf(exec()))
    t.match(review.response, { allowed: false, auditAnnotations: { reason: 'into-reprieve' } }, name)
  }
  const yes = answering(said({ allowed: true }))
  const { client } = await startWebhook(t, { api: yes.api })
  for (const missing of [
    { userInfo: null },
    { userInfo: { username: '' } },
    { namespace: '' },
    { name: null },
  ])
    t.match(
      (await client.post('/validate', reviewOf({ ...exec(), ...missing }))).review.response,
      { allowed: false },
      JSON.stringify(missing),
    )
  const alone = await startWebhook(t)
  t.match((await alone.client.post('/validate', reviewOf(exec()))).review.response, { allowed: false })
  t.same(yes.asked, [])
})

t.test('an operator may exec, and nothing else that the guard denies', async (t) => {
  const { api, asked } = answering(said({ allowed: true }))
  const { client } = await startWebhook(t, { api })
  for (const request of [
    debugging(protectedPod(), [{ name: 'debugger', targetContainerName: sidecar }]),
    updating(protectedPod(), (pod) => (containerIn(pod, sidecar).image = 'other')),
    creating(protectedPod(), 'elsewhere'),
  ])
    t.match((await client.post('/validate', reviewOf(request))).review.response, { allowed: false })
  t.same(asked, [])
})
