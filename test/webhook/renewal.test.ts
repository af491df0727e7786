/** The API server asks again about a pod that another webhook changed after ours: the plan matches the pod as it is then. */
import fc from 'fast-check'
import t from 'tap'
import { parsePodPlan, planVariable, type PodPlan } from '../../src/pod-plan.ts'
import { decide } from '../../webhook/decide.ts'
import { judge } from '../../webhook/guard/judge.ts'
import { mutate } from '../../webhook/mutate.ts'
import type { Pod } from '../../webhook/pod.ts'
import { sampleConfig, samplePod } from './admission-fixtures.ts'
import { problemsBeyondSchema, problemsOfCoreV1 } from './core-v1.ts'
import { generatedPod } from './generated-pods.ts'
import { creating } from './guard/requests.ts'
import { laterChanges } from './later-webhooks.ts'
import { applied, inject } from './patched-pod.ts'
import { injectedIn } from './pod-answers.ts'
import { asked, runs, seed } from './property-runs.ts'

const config = sampleConfig()
const origin = { namespace: 'ml-team', optedInBy: 'pod' } as const
const alreadyInjected = { outcome: 'skip', reasons: ['already-injected'], warnings: [] }

/** The pod after a further call of the webhook, which has to have something to do. */
function again(pod: Pod): Pod {
  const decision = decide(pod, origin, config)
  if (decision.outcome !== 'inject') throw new Error(`it was not made anew: ${JSON.stringify(decision)}`)
  const { operations, text } = mutate(pod, decision, config)
  if (text !== JSON.stringify(operations)) throw new Error('the patch is another than its operations')
  return applied(pod, operations)
}

/** Of both injected containers, which have the same. */
function planIn(pod: Pod): PodPlan {
  const [first, second, ...others] = new Set(
    injectedIn(pod).map(({ env }) => env.find(({ name }) => name === planVariable)?.value ?? ''),
  )
  if (first === undefined || second !== undefined || others.length > 0) throw new Error('their plans differ')
  return parsePodPlan(first.replaceAll('$$', () => '$'))
}

function injected(pod: Pod): Pod {
  const after = inject(pod, config)?.after
  if (after === undefined) throw new Error('it was not injected')
  return after
}

const [main] = samplePod().spec.containers
if (main === undefined) throw new Error('the sample has no container')

for (const [what, change] of Object.entries(laterChanges))
  t.test(
    `a webhook that ${what} after ours gives the plan that it would have given before ours`,
    async (t) => {
      const before = injected(change.applied(samplePod(), 'main'))
      const after = change.applied(injected(samplePod()), 'main')
      const last = change.isOfPlan ? again(after) : after
      t.strictSame(planIn(last), planIn(before))
      t.strictSame(decide(last, origin, config), alreadyInjected, 'and a third call changes nothing')
    },
  )

t.test(
  'a command that lost the launcher gets it back, and one that another program runs stays',
  async (t) => {
    const replaced = injected(samplePod())
    Object.assign(replaced.spec.containers[0] ?? {}, { command: ['python3', 'other.py'] })
    const last = again(replaced)
    t.strictSame(last.spec.containers[0]?.command, injected(samplePod({ container: { command: ['python3', 'other.py'] } })).spec.containers[0]?.command) // prettier-ignore
    t.strictSame(decide(last, origin, config), alreadyInjected)
    const wrapped = injected(samplePod())
    const command = wrapped.spec.containers[0]?.command ?? []
    Object.assign(wrapped.spec.containers[0] ?? {}, { command: ['/vault/vault-env'], args: command })
    t.strictSame(decide(wrapped, origin, config), alreadyInjected)
  },
)

/** As vault-k8s mounts its secrets into all init containers, and Datadog's admission controller adds variables. */
function intoOurs(pod: Pod): Pod {
  const copy = structuredClone(pod)
  copy.spec.volumes = [
    ...(copy.spec.volumes ?? []),
    { name: 'vault-secrets', emptyDir: { medium: 'Memory' } },
  ]
  for (const { env } of injectedIn(copy)) {
    env.unshift({ name: 'DD_ENTITY_ID', value: 'x' })
    env.push({ name: 'AWS_REGION', value: 'eu-central-1' })
  }
  for (const { volumeMounts } of copy.spec.initContainers ?? [])
    volumeMounts?.push({ name: 'vault-secrets', mountPath: '/vault/secrets' })
  return copy
}

t.test(
  'what another webhook puts into our containers is taken out again, and the guard agrees',
  async (t) => {
    const changed = intoOurs(injected(samplePod()))
    t.match(judge(creating(changed), config), { allowed: false })
    const last = again(changed)
    t.strictSame(judge(creating(last), config), { allowed: true })
    t.strictSame(planIn(last), planIn(injected(samplePod())))
    t.strictSame(decide(last, origin, config), alreadyInjected, 'and a third call changes nothing')
    const replaced = intoOurs(injected(samplePod()))
    Object.assign(replaced.spec.containers[0] ?? {}, { image: 'mirror.example/of-later:1' })
    const both = again(replaced)
    t.strictSame(judge(creating(both), config), { allowed: true }, 'beside a plan that is made anew')
    t.notSame(planIn(both), planIn(last))
  },
)

t.test(
  'a protected container that is gone, and a plan that cannot be read, are left as they are',
  async (t) => {
    const gone = injected(samplePod({ spec: { containers: [main, { name: 'other', command: ['x'] }] } }))
    gone.spec.containers.shift()
    t.strictSame(decide(gone, origin, config), alreadyInjected)
    const newer = injected(samplePod())
    for (const { env } of injectedIn(newer))
      for (const variable of env)
        if (variable.name === planVariable)
          variable.value = variable.value?.replace('"version":1', '"version":2') ?? ''
    Object.assign(newer.spec.containers[0] ?? {}, { image: 'other:1' })
    t.strictSame(decide(newer, origin, config), alreadyInjected)
  },
)

t.test("an owner's own profile and settings of Go do not make a plan anew", async (t) => {
  const own = samplePod({
    container: {
      securityContext: { runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
      env: [{ name: 'GODEBUG', value: 'gctrace=1,multipathtcp=0' }],
    } as object,
  })
  for (const pod of [own, samplePod({ container: { env: [{ name: 'GODEBUG', value: '' }] } as object })])
    t.strictSame(decide(injected(pod), origin, config), alreadyInjected)
})

t.test('a generated pod that another webhook changes has the plan of what it has become', async (t) => {
  let changedCount = 0
  const changes = Object.values(laterChanges)
  fc.assert(
    fc.property(generatedPod, fc.constantFrom(...changes), (pod, change) => {
      const first = inject(pod, config)
      const name = first?.plan.containers[0]?.name
      if (first === undefined || name === undefined) return
      if (JSON.stringify(decide(first.after, origin, config)) !== JSON.stringify(alreadyInjected))
        throw new Error('it was made anew, and nothing had changed')
      const before = inject(change.applied(pod, name), config)
      const after = change.applied(first.after, name)
      if (before === undefined || !change.isOfPlan) return
      const last = again(after)
      changedCount++
      const problems = [...problemsOfCoreV1('Pod', last), ...problemsBeyondSchema(last)]
      if (problems.length > 0) throw new Error(problems.join('; '))
      if (JSON.stringify(planIn(last)) !== JSON.stringify(before.plan)) throw new Error('its plan is another')
      if (JSON.stringify(decide(last, origin, config)) !== JSON.stringify(alreadyInjected))
        throw new Error('a third call made it anew')
    }),
    asked,
  )
  t.comment(`${runs} pods generated from seed ${seed}, ${changedCount} of them changed, all held`)
  t.ok(changedCount > runs / 10, `enough of them were changed: ${changedCount} of ${runs}`)
})
