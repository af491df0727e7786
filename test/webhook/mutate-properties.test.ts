/** Generated pods, of every form that an API server lets through and some it does not. */
import fc from 'fast-check'
import t from 'tap'
import { parsePodPlan } from '../../src/pod-plan.ts'
import { admit } from '../../webhook/admit.ts'
import { mutate } from '../../webhook/mutate.ts'
import { isPod, type Pod } from '../../webhook/pod.ts'
import type { AdmissionRequest } from '../../webhook/review.ts'
import { sampleConfig } from './admission-fixtures.ts'
import { problemsBeyondSchema, problemsOfCoreV1 } from './core-v1.ts'
import { generatedPod } from './generated-pods.ts'
import { inject, unnamed } from './patched-pod.ts'
import { asked, runs, seed } from './property-runs.ts'

const config = sampleConfig()

t.test(
  'a generated pod is never patched into an invalid one, nor touched beyond what is named',
  async (t) => {
    let injectedCount = 0
    fc.assert(
      fc.property(generatedPod, fc.constantFrom('pod' as const, 'namespace' as const), (pod, optedInBy) => {
        const before = [...problemsOfCoreV1('Pod', pod), ...problemsBeyondSchema(pod)]
        if (before.length > 0) throw new Error(`the generator made an invalid pod: ${before.join('; ')}`)
        const copy = structuredClone(pod)
        const injection = inject(pod, config, optedInBy)
        if (injection === undefined) return
        injectedCount++
        const { after, plan, commands, operations, text } = injection
        if (text !== JSON.stringify(operations)) throw new Error('the patch is another than its operations')
        if (JSON.stringify(pod) !== JSON.stringify(copy)) throw new Error('the pod it was given was changed')
        const problems = [...problemsOfCoreV1('Pod', after), ...problemsBeyondSchema(after)]
        if (problems.length > 0) throw new Error(problems.join('; '))
        parsePodPlan(JSON.stringify(plan))
        if (mutate(after, { plan, commands }, config).operations.length > 0)
          throw new Error('applied twice, it changed something')
        const names = plan.containers.map(({ name }) => name)
        if (JSON.stringify(unnamed(after, names)) !== JSON.stringify(unnamed(pod, names)))
          throw new Error('something else was touched')
      }),
      asked,
    )
    t.comment(`${runs} pods generated from seed ${seed}, ${injectedCount} of them injected, all held`)
    t.ok(injectedCount > runs / 5, `enough of them were injected: ${injectedCount} of ${runs}`)
  },
)

t.test('the answer is well formed for any JSON in place of the pod', async (t) => {
  const strangeKey = fc.constantFrom(
    '__proto__',
    'constructor',
    'toString',
    'metadata',
    'spec',
    'containers',
    'name',
  )
  const json = fc.letrec<{ any: unknown }>((tie) => ({
    any: fc.oneof(
      { maxDepth: 5 },
      fc.string(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(strangeKey, tie('any')),
    ),
  })).any
  fc.assert(
    fc.property(json, (object) => {
      const { response } = admit(
        requestFor(JSON.parse(JSON.stringify(object)) as unknown),
        'namespace',
        config,
      )
      return response.allowed && response.uid === 'u' && (isPod(object) || response.patch === undefined)
    }),
    asked,
  )
  t.equal(Object.keys(Object.prototype).length, 0, 'no prototype was touched')
})

t.test('a valid pod with one part replaced by something else never makes it throw', async (t) => {
  fc.assert(
    fc.property(generatedPod, fc.nat(), fc.jsonValue(), (pod, seed, other) => {
      const broken = withPartReplaced(pod, seed, other)
      const { response } = admit(requestFor(broken), 'pod', config)
      return typeof response.allowed === 'boolean'
    }),
    asked,
  )
  t.pass(`${runs} broken pods`)
})

function requestFor(object: unknown): AdmissionRequest {
  return {
    uid: 'u',
    kind: { group: '', kind: 'Pod' },
    resource: { group: '', resource: 'pods' },
    namespace: 'ml-team',
    operation: 'CREATE',
    object,
  }
}

function withPartReplaced(pod: Pod, seed: number, other: unknown): unknown {
  const copy: unknown = structuredClone(pod)
  const places: { owner: Record<string, unknown>; key: string }[] = []
  const walk = (value: unknown) => {
    if (typeof value !== 'object' || value === null) return
    for (const [key, inner] of Object.entries(value)) {
      places.push({ owner: value as Record<string, unknown>, key })
      walk(inner)
    }
  }
  walk(copy)
  const place = places[seed % places.length]
  if (place !== undefined) place.owner[place.key] = other
  return copy
}
