/** Which pods the API server sends to which entry: its selectors and match conditions, evaluated here as it evaluates them. */
import { evaluate } from '@marcbachmann/cel-js'
import t from 'tap'
import { recordedReviews, sampleConfig, samplePod } from '../webhook/admission-fixtures.ts'
import { decide, type OptedInBy } from '../../webhook/decide.ts'
import type { Pod } from '../../webhook/pod.ts'
import { objectsIn } from './rendered.ts'

type Expression = { key: string; operator: 'In' | 'NotIn'; values: string[] }
type Entry = {
  name: string
  clientConfig: { service: { path: string }; caBundle?: string }
  namespaceSelector: { matchLabels?: Record<string, string>; matchExpressions: Expression[] }
  matchConditions: { name: string; expression: string }[]
  timeoutSeconds: number
}

const [configuration] = objectsIn('base/webhook-configuration.yaml')
const { webhooks } = configuration as unknown as { webhooks: Entry[] }

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#set-based-requirement: NotIn takes what has no such label, too. */
function selects(
  { matchLabels = {}, matchExpressions }: Entry['namespaceSelector'],
  labels: Record<string, string>,
): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values }) => {
      const value = labels[key]
      const isOneOf = value !== undefined && values.includes(value)
      return operator === 'In' ? isOneOf : !isOneOf
    })
  )
}

/** The last part of the path of each entry that is asked. */
function askedAbout(pod: Pod, namespace: string, labels: Record<string, string>): string[] {
  return webhooks
    .filter((entry) =>
      selects(entry.namespaceSelector, { 'kubernetes.io/metadata.name': namespace, ...labels }),
    )
    .filter(({ matchConditions }) =>
      matchConditions.every(({ expression }) => evaluate(expression, { object: pod }) === true),
    )
    .map(({ clientConfig }) => clientConfig.service.path.replace('/mutate/', ''))
}

const optedIn = { 'reprieve.dev/checkpoint': 'enabled' }
const level = (name: string) => ({ 'pod-security.kubernetes.io/enforce': name })
const saying = (annotations: Record<string, string> | undefined): Pod => {
  const pod = samplePod()
  if (annotations === undefined) delete pod.metadata.annotations
  else pod.metadata.annotations = annotations
  return pod
}
const asking = saying({ 'reprieve.dev/checkpoint': 'true' })
const silent = saying({ other: 'x' })
const bare = saying(undefined)
const declining = saying({ 'reprieve.dev/checkpoint': 'false' })
const mirror = (annotations: object) => saying({ ...annotations, 'kubernetes.io/config.mirror': 'hash' })

t.test(
  'a pod reaches the webhook by one entry, by what it or its namespace says, and others never',
  async (t) => {
    const cases: [string, Pod, string, Record<string, string>, string[]][] = [
      ['asks', asking, 'ml', {}, ['pod']],
      ['asks, in a namespace that does', asking, 'ml', optedIn, ['pod']],
      ['asks, where the level refuses it', asking, 'ml', { ...optedIn, ...level('restricted') }, ['pod']],
      ['asks in words that nobody knows', saying({ 'reprieve.dev/checkpoint': 'yes' }), 'ml', {}, ['pod']],
      ['says nothing', silent, 'ml', {}, []],
      ['has no annotations', bare, 'ml', {}, []],
      ['its namespace asks', silent, 'ml', optedIn, ['namespace']],
      ['its namespace asks, no annotations', bare, 'ml', optedIn, ['namespace']],
      ['its namespace asks otherwise', bare, 'ml', { 'reprieve.dev/checkpoint': 'true' }, []],
      ['its namespace asks and may', silent, 'ml', { ...optedIn, ...level('privileged') }, ['namespace']],
      [
        'its namespace asks, level baseline',
        silent,
        'ml',
        { ...optedIn, ...level('baseline') },
        ['restricted-namespace'],
      ],
      [
        'its namespace asks, level restricted',
        bare,
        'ml',
        { ...optedIn, ...level('restricted') },
        ['restricted-namespace'],
      ],
      ['declines', declining, 'ml', {}, []],
      ['declines what its namespace asks', declining, 'ml', optedIn, []],
      ['declines, level restricted', declining, 'ml', { ...optedIn, ...level('restricted') }, []],
      ['a static pod that asks', mirror({ 'reprieve.dev/checkpoint': 'true' }), 'ml', {}, []],
      ['a static pod of a namespace that asks', mirror({}), 'ml', optedIn, []],
      ['a static pod, level restricted', mirror({}), 'ml', { ...optedIn, ...level('restricted') }, []],
      ...['kube-system', 'kube-public', 'kube-node-lease', 'reprieve-system'].flatMap(
        (namespace): [string, Pod, string, Record<string, string>, string[]][] => [
          [`asks in ${namespace}`, asking, namespace, optedIn, []],
          [`silent in ${namespace}`, bare, namespace, optedIn, []],
          [`silent in ${namespace}, restricted`, bare, namespace, { ...optedIn, ...level('restricted') }, []],
        ],
      ),
    ]
    for (const [name, pod, namespace, labels, expected] of cases)
      t.same(askedAbout(pod, namespace, labels), expected, name)
  },
)

t.test('whoever is not asked about would be left alone all the same', async (t) => {
  const config = sampleConfig()
  for (const pod of [asking, silent, bare, declining, mirror({ 'reprieve.dev/checkpoint': 'true' })])
    for (const namespace of ['ml', 'kube-system', 'kube-public', 'kube-node-lease', config.namespace]) {
      const asked = askedAbout(pod, namespace, {})
      const { outcome } = decide(pod, { namespace, optedInBy: 'pod' }, config)
      t.equal(
        outcome === 'inject',
        asked.includes('pod'),
        `${namespace} ${JSON.stringify(pod.metadata.annotations)}`,
      )
    }
})

t.test('of the recorded pods, those that ask are sent', async (t) => {
  let sent = 0
  for (const { name, request } of recordedReviews()) {
    if (request.operation !== 'CREATE' || request.kind.kind !== 'Pod' || request.subResource) continue
    const pod = request.object as Pod
    const asks = pod.metadata.annotations?.['reprieve.dev/checkpoint'] === 'true'
    t.same(askedAbout(pod, request.namespace ?? '', {}), asks ? ['pod'] : [], name)
    if (asks) sent++
  }
  t.ok(sent > 2)
})

t.test('each entry asks about the creation of pods, and gives the webhook its time', async (t) => {
  const paths = new Map(webhooks.map(({ name, clientConfig }) => [name, clientConfig.service.path]))
  const by = (name: OptedInBy) => paths.get(`${name}.reprieve.dev`)
  t.same([by('pod'), by('namespace'), by('restricted-namespace')], ['/mutate/pod', '/mutate/namespace', '/mutate/restricted-namespace']) // prettier-ignore
  t.equal(paths.size, 3)
  for (const entry of webhooks) {
    t.match(entry, {
      admissionReviewVersions: ['v1'],
      sideEffects: 'None',
      rules: [
        {
          operations: ['CREATE'],
          apiGroups: [''],
          apiVersions: ['v1'],
          resources: ['pods'],
          scope: 'Namespaced',
        },
      ],
    })
    t.ok(entry.timeoutSeconds <= 10)
  }
})
