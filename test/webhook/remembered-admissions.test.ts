/** The answer is the same whether it is remembered or not, and the pods of one controller are decided on twice at most. */
import fc from 'fast-check'
import t from 'tap'
import type { Pod } from '../../webhook/pod.ts'
import { admit } from '../../webhook/admit.ts'
import { rememberAdmissions } from '../../webhook/remembered-admissions.ts'
import type { AdmissionRequest } from '../../webhook/review.ts'
import { recorded, sampleConfig } from './admission-fixtures.ts'
import { generatedPod } from './generated-pods.ts'
import { asked, runs, seed } from './property-runs.ts'

const config = sampleConfig()
const template = recorded('create-deployment-pod').request

type Change = (pod: Pod) => void

const isToken = (one: { name: string }) => one.name.startsWith('kube-api-access-')

/** As the API server and the controllers make the next pod of a template. */
function madeAnew(object: unknown, serial: string, change: Change = () => undefined): AdmissionRequest {
  const request = structuredClone({ ...template, uid: `uid-${serial}`, object }) as AdmissionRequest & {
    object: Pod
  }
  const { metadata, spec } = request.object
  metadata.name = `${metadata.generateName ?? 'pod-'}${serial}`
  Object.assign(metadata, { managedFields: [{ manager: 'kube-controller-manager', time: serial }] })
  const name = `kube-api-access-${serial}`
  const mount = { name, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true }
  spec.volumes = [
    ...(spec.volumes ?? []).filter((one) => !isToken(one)),
    { name, projected: { sources: [] } },
  ]
  for (const container of [...(spec.initContainers ?? []), ...spec.containers])
    container.volumeMounts = [...(container.volumeMounts ?? []).filter((one) => !isToken(one)), mount]
  change(request.object)
  return request
}

t.test(
  'from its second pod on, a Deployment is decided on no more, and each answer has its own uid',
  async (t) => {
    const ask = rememberAdmissions()
    const requests = ['x7k2p', 'q9w8e', 'b4n5m'].map((serial) => madeAnew(template.object, serial))
    const before = structuredClone(requests)
    const answers = requests.map((request) => ask(request, 'pod', config))
    t.equal(answers[1]?.decision.outcome, 'inject')
    t.equal(answers[2]?.decision, answers[1]?.decision, 'not another one like it')
    t.same(
      answers,
      requests.map((request) => admit(request, 'pod', config)),
    )
    t.equal(answers[2]?.response.uid, 'uid-b4n5m')
    t.same(requests, before, 'the requests are as they were')
  },
)

t.test('a name that stands for any name hides no difference', async (t) => {
  const ask = rememberAdmissions()
  const asks = (name: string) => {
    const mount = { name, mountPath: '/mnt' }
    const request = madeAnew(template.object, 'x7k2p', ({ spec }) => {
      for (const container of spec.containers)
        container.volumeMounts = [...(container.volumeMounts ?? []), mount]
    })
    t.same(ask(request, 'pod', config), admit(request, 'pod', config), name)
  }
  // An admission is kept from the second pod of a template on.
  for (let pod = 0; pod < 3; pod++) asks('*')
  asks('kube-api-access-x7k2p')
})

t.test('any other difference is seen', async (t) => {
  const ask = rememberAdmissions()
  const decided = (change?: Change) => {
    const request = madeAnew(template.object, 'x7k2p', change)
    const admission = ask(request, 'pod', config)
    t.same(admission, admit(request, 'pod', config))
    return admission.decision
  }
  decided()
  const usual = decided()
  const changes: Record<string, Change> = {
    image: ({ spec }) => Object.assign(spec.containers[0] ?? {}, { image: 'another:2' }),
    variable: ({ spec }) => Object.assign(spec.containers[0] ?? {}, { env: [{ name: 'A', value: 'x7k2p' }] }),
    'a second volume of such a name': ({ spec }) => spec.volumes?.push({ name: 'kube-api-access-zzzzz' }),
    'the mount of another volume': ({ spec }) =>
      Object.assign(spec.containers[0] ?? {}, { volumeMounts: [{ name: 'gone', mountPath: '/gone' }] }),
    'a name in the owner': ({ metadata }) =>
      Object.assign(metadata.ownerReferences?.[0] ?? {}, { name: 'other-1' }),
    annotation: ({ metadata }) => Object.assign(metadata.annotations ?? {}, { 'reprieve.dev/keep': '5' }),
  }
  for (const [what, change] of Object.entries(changes)) {
    t.not(decided(change), usual, what)
    t.not(decided(change), usual, `${what}, again`)
  }
  const request = madeAnew(template.object, 'x7k2p')
  t.equal(ask(request, 'pod', config).decision, usual, 'remembered all the same')
  for (const [what, other] of Object.entries({
    namespace: { ...request, namespace: 'another' },
    operation: { ...request, operation: 'UPDATE' },
    subresource: { ...request, subResource: 'eviction' },
  }))
    for (const _ of ['once', 'remembered', 'from memory'])
      t.same(ask(other, 'pod', config), admit(other, 'pod', config), what)
  t.same(ask(request, 'restricted-namespace', config), admit(request, 'restricted-namespace', config))
  const other = sampleConfig((text) => text.replace(/^image: .*$/m, 'image: reprieve:another'))
  t.same(ask(request, 'pod', other), admit(request, 'pod', other), 'another configuration')
})

t.test('pods of a mebibyte are remembered, of a few templates at a time', async (t) => {
  const ask = rememberAdmissions()
  const isDecidedAnew = (letter: string) => {
    const [first, second] = ['x7k2p', 'q9w8e'].map((serial) => {
      const request = madeAnew(template.object, serial, ({ spec }) => {
        const env = Array.from({ length: 1024 }, (_, n) => ({ name: `V${n}`, value: letter.repeat(1000) }))
        Object.assign(spec.containers[0] ?? {}, { env })
      })
      return ask(request, 'pod', config).decision
    })
    return first !== second
  }
  t.ok(isDecidedAnew('a'))
  t.notOk(isDecidedAnew('a'))
  for (const letter of 'bcde') isDecidedAnew(letter)
  t.notOk(isDecidedAnew('e'))
  const request = madeAnew(template.object, 'x7k2p', ({ spec }) => {
    Object.assign(spec.containers[0] ?? {}, { env: [] })
  })
  t.same(ask(request, 'pod', config), admit(request, 'pod', config))
})

t.test('pods with labels that no API server takes are not remembered', async (t) => {
  const ask = rememberAdmissions()
  const request = madeAnew(template.object, 'x7k2p', ({ metadata }) => {
    metadata.labels = { ...metadata.labels, large: 'x'.repeat(20_000) }
  })
  const answers = [1, 2, 3].map(() => ask(request, 'pod', config))
  t.not(answers[1]?.decision, answers[2]?.decision)
  t.same(answers[1], answers[2])
})

t.test('a name that is the identity is no made-up one', async (t) => {
  const ask = rememberAdmissions()
  const lineages = ['web-0', 'web-0', 'web-0', 'web-1'].map((name) => {
    const request = madeAnew(template.object, 'x7k2p', ({ metadata }) => {
      const owner = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web', uid: 'u', controller: true }
      Object.assign(metadata, { name, ownerReferences: [owner] })
    })
    const { decision } = ask(request, 'pod', config)
    return decision.outcome === 'inject' ? decision.plan.lineage : decision.outcome
  })
  t.same(lineages.slice(2), ['ml-team/StatefulSet/web/0', 'ml-team/StatefulSet/web/1'])
})

t.test(
  'of a generated pod and the next ones of its template, each gets the answer that is its own',
  async (t) => {
    const ask = rememberAdmissions()
    let remembered = 0
    fc.assert(
      fc.property(generatedPod, fc.constantFrom('pod' as const, 'namespace' as const), (pod, optedInBy) => {
        const answers = ['x7k2p', 'q9w8e', 'b4n5m'].map((serial) => {
          const request = madeAnew(pod, serial)
          const [answer, own] = [ask(request, optedInBy, config), admit(request, optedInBy, config)]
          if (JSON.stringify(answer.response) !== JSON.stringify(own.response))
            throw new Error('it got the answer of another pod')
          return answer
        })
        if (answers[1]?.decision === answers[2]?.decision) remembered++
      }),
      asked,
    )
    t.comment(`${runs} pods generated from seed ${seed}, ${remembered} of them remembered, all held`)
    t.ok(remembered > runs / 10, `enough of them were remembered: ${remembered} of ${runs}`)
  },
)

t.test('a review that is nested without end, or is no pod, is answered as without a memory', async (t) => {
  const ask = rememberAdmissions()
  const deep = JSON.parse(`${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`) as unknown
  for (const [what, object] of Object.entries({
    deep: { ...(template.object as object), deep },
    'no pod': {
      metadata: { ownerReferences: [5, null, { controller: true, kind: 5 }] },
      spec: { volumes: [1] },
    },
    nothing: null,
    text: 'pod',
  }))
    t.same(ask({ ...template, object }, 'pod', config), admit({ ...template, object }, 'pod', config), what)
})
