/** Pods that are made to hurt. hostile-pods-table.ts says what becomes of each, under the test's own name. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import { parsePodPlan } from '../../src/pod-plan.ts'
import { admit } from '../../webhook/admit.ts'
import type { Pod } from '../../webhook/pod.ts'
import type { AdmissionRequest } from '../../webhook/review.ts'
import { cpuMs } from '../cpu-time.ts'
import { recorded, sampleConfig, samplePod } from './admission-fixtures.ts'
import { creating, protectedPod } from './guard/requests.ts'
import { read } from '../docs/documents.ts'
import { hostilePods } from './hostile-pods-table.ts'
import { inject } from './patched-pod.ts'
import { judge } from '../../webhook/guard/judge.ts'

const config = sampleConfig()
const template = recorded('create-bare-pod').request
/** Of a processor. What is not linear takes minutes. */
const soonMs = 2000
const mostAnswerBytes = 64 * 1024

function ask(object: unknown, optedInBy: 'pod' | 'namespace' = 'pod', namespace = 'ml-team') {
  const begun = cpuMs()
  const { response, decision } = admit(
    { ...template, namespace, object } as AdmissionRequest,
    optedInBy,
    config,
  )
  const tookMs = cpuMs() - begun
  if (tookMs > soonMs) throw new Error(`it took ${tookMs} ms`)
  return { response, decision, told: [...(response.warnings ?? []), response.status?.message ?? ''] }
}

t.test('annotations of 256 KiB', async (t) => {
  const big = 'x'.repeat(256 * 1024)
  t.match(ask(samplePod({ annotations: { 'team.example/notes': big } })).decision, {
    outcome: 'inject',
    warnings: [],
  })
  for (const name of [
    'containers',
    'triggers',
    'interval',
    'memory-max',
    'store',
    'keep',
    'key',
    'restore',
  ]) {
    const { decision, told } = ask(samplePod({ annotations: { [`reprieve.dev/${name}`]: big } }))
    t.match(decision, { outcome: 'refuse' }, name)
    t.ok(told.join('').length < mostAnswerBytes, `${name}: ${told.join('').length}`)
  }
  const names = Array.from({ length: 30_000 }, (_, index) => `c${index}`).join(',')
  const missing = ask(samplePod({ annotations: { 'reprieve.dev/containers': names } }))
  t.match(missing.response.status?.message, /reprieve\.dev\/containers names c0, c1, .*\.\.\./)
  t.ok(missing.told.join('').length < mostAnswerBytes)
  const unknown = Object.fromEntries(
    Array.from({ length: 10_000 }, (_, index) => [`reprieve.dev/x${index}`, 'y']),
  )
  const { told, decision } = ask(samplePod({ annotations: unknown }))
  t.equal(decision.outcome, 'inject')
  t.equal(told.filter((text) => text !== '' && !/seccomp/.test(text)).length, 21)
  t.match(told.join(''), 'and 9980 more')
})

t.test('500 containers', async (t) => {
  const containers = Array.from({ length: 500 }, (_, index) => ({ name: `c${index}`, command: ['x'] }))
  const named = (count: number) => ({
    'reprieve.dev/containers': containers
      .slice(0, count)
      .map(({ name }) => name)
      .join(','),
  })
  const injection = inject(samplePod({ spec: { containers }, annotations: named(20) }), config)
  t.same(
    injection?.after.spec.containers.map(({ name }) => name),
    containers.map(({ name }) => name),
  )
  t.equal(injection?.plan.containers.length, 20)
  t.equal(ask(samplePod({ spec: { containers } })).decision.outcome, 'inject')
  t.match(
    ask(samplePod({ spec: { containers }, annotations: named(21) })).response.status?.message,
    /names 21 containers; accepted: at most 20/,
  )
  t.match(ask(samplePod({ spec: { containers }, annotations: named(500) })).decision, {
    outcome: 'refuse',
    reasons: ['annotations-invalid'],
  })
})

t.test('ten thousand volumes, mounts and variables', async (t) => {
  const numbers = Array.from({ length: 10_000 }, (_, index) => index)
  const withEach = (more: object) =>
    samplePod({
      spec: {
        volumes: numbers.map((index) => ({ name: `v${index}`, emptyDir: {} })),
        containers: [{ name: 'app', command: ['x'], ...more }],
      },
    })
  for (const more of [
    { volumeMounts: numbers.map((index) => ({ name: `v${index}`, mountPath: `/m/${index}` })) },
    { volumeDevices: numbers.map((index) => ({ name: `v${index}`, devicePath: `/dev/${index}` })) },
    { env: numbers.map((index) => ({ name: `A${index}`, value: 'x' })) },
    { env: [...numbers, ...numbers].map((index) => ({ name: 'SAME', value: String(index) })) },
  ])
    t.equal(ask(withEach(more)).decision.outcome, 'volumeDevices' in more ? 'refuse' : 'inject')
  const ours = protectedPod()
  const path = '/var/run/secrets/tokens'
  ours.spec.volumes?.push(...numbers.map((index) => ({ name: `v${index}`, projected: {} })))
  for (const { volumeMounts } of ours.spec.initContainers ?? [])
    volumeMounts?.push(...numbers.map((index) => ({ name: `v${index}`, mountPath: `${path}/${index}`, readOnly: true }))) // prettier-ignore
  ask(ours)
  const begun = cpuMs()
  judge(creating(ours), config)
  t.ok(cpuMs() - begun < soonMs, 'in a container of ours')
})

t.test('names that are no names', async (t) => {
  const names = [
    'ünïcödé',
    '💥',
    'a\nb',
    '--',
    '-- sh',
    '',
    '$(HOME)',
    '../../etc',
    '__proto__',
    'x'.repeat(100_000),
  ]
  for (const name of names) {
    const { response, decision } = ask(samplePod({ container: { name } }))
    t.equal(typeof response.allowed, 'boolean')
    if (decision.outcome !== 'inject') continue
    const command = decision.commands.get(name)
    t.same(command, ['python3', 'train.py'])
    t.throws(
      () => parsePodPlan(JSON.stringify(decision.plan)),
      { code: 'plan-invalid' },
      'the sidecar takes no such plan',
    )
  }
  for (const name of names) {
    const { decision } = ask(samplePod({ metadata: { name } }))
    if (decision.outcome === 'inject') t.match(decision.plan.lineage, /^ml-team\/Pod\/[A-Za-z0-9._-]+$/, name)
    else t.same(decision.reasons, ['lineage-unknown'], name)
  }
})

t.test('quantities that are none', async (t) => {
  for (const memory of [{ toString: 0 }, [], true])
    for (const list of ['limits', 'requests'])
      t.equal(ask(samplePod({ container: { resources: { [list]: { memory } } } })).response.allowed, true)
})

t.test('paths with ..', async (t) => {
  for (const mountPath of [
    '/data/../reprieve',
    '/reprieve/../reprieve/bin',
    '/./reprieve//run',
    'x/../reprieve',
    '/../../reprieve',
  ])
    t.match(
      ask(samplePod({ container: { volumeMounts: [{ name: 'x', mountPath }] } })).decision,
      { outcome: 'refuse', reasons: ['mount-conflict'] },
      mountPath,
    )
  for (const mountPath of ['/reprieve/../data', '/reprieved', '/data/reprieve'])
    t.equal(
      ask(samplePod({ container: { volumeMounts: [{ name: 'x', mountPath }] } })).decision.outcome,
      'inject',
      mountPath,
    )
  for (const [name, value] of [
    ['store', '../default'],
    ['store', '/etc'],
    ['key', '../../other/key'],
    ['key', '..'],
    ['restore', '../x'],
  ] as const)
    t.match(
      ask(samplePod({ annotations: { [`reprieve.dev/${name}`]: value } })).decision,
      { outcome: 'refuse', reasons: ['annotations-invalid'] },
      value,
    )
})

t.test('a command that mimics ours', async (t) => {
  for (const program of [
    '/reprieve/bin/launcher',
    '/reprieve/../reprieve/bin/launcher',
    'reprieve/bin/launcher',
    '//reprieve//bin/x',
  ])
    t.match(
      ask(samplePod({ container: { command: [program, 'run', '--container=other', '--', 'sh'] } })).decision,
      {
        outcome: 'refuse',
        reasons: ['container-conflict'],
        problems: [/the command of container main is Reprieve's own/],
      },
      program,
    )
  for (const program of ['reprieve', '/opt/reprieve/launcher', '/bin/reprieve'])
    t.equal(ask(samplePod({ container: { command: [program] } })).decision.outcome, 'inject', program)
})

t.test('containers that mimic ours', async (t) => {
  const copy = protectedPod()
  copy.metadata.name = 'another'
  t.match(ask(copy).decision, {
    outcome: 'refuse',
    reasons: ['mount-conflict', 'container-conflict'],
    problems: [/./, /./, /./, /looks like a copy of a protected one: make it anew from what its owner wrote/],
  })
  t.match(ask(copy, 'namespace').decision, { outcome: 'refuse' }, 'it still asks')
  delete copy.metadata.annotations
  t.match(ask(copy, 'namespace').decision, {
    outcome: 'skip',
    reasons: ['mount-conflict', 'container-conflict'],
  })
  t.match(
    judge(creating(copy), config),
    { allowed: false, reason: 'pretended' },
    'where nobody opted in, the guard sees it',
  )
})

t.test('a namespace that exempts itself', async (t) => {
  type Entry = {
    name: string
    namespaceSelector?: {
      matchLabels?: object
      matchExpressions?: { key: string; operator: string; values: string[] }[]
    }
  }
  const guard = parse(read('manifests/base/guard.yaml')) as { webhooks: Entry[] }
  t.ok(
    guard.webhooks.every(
      ({ name, namespaceSelector }) => namespaceSelector === undefined || name.includes('.pod-security.'),
    ),
    'what keeps people out of Reprieve knows no namespaces',
  )
  const [mutating] = parseAllDocuments(read('manifests/base/webhook-configuration.yaml')).map(
    (one) => one.toJS() as { webhooks: Entry[] },
  )
  const [pod, namespace, restricted] = (mutating?.webhooks ?? []).map(
    ({ namespaceSelector }) => namespaceSelector?.matchExpressions ?? [],
  )
  t.same(
    pod?.map(({ key }) => key),
    ['kubernetes.io/metadata.name'],
    'no label that a namespace could give itself takes out a pod that asks',
  )
  // The other two part the namespaces that opt in: whatever its level, one of them is asked, and tells.
  const level = { key: 'pod-security.kubernetes.io/enforce', values: ['baseline', 'restricted'] }
  t.same(namespace, [...(pod ?? []), { ...level, operator: 'NotIn' }])
  t.same(restricted, [...(pod ?? []), { ...level, operator: 'In' }])
  for (const namespace of ['kube-system-2', 'Kube-System', 'my-reprieve-system', ''])
    t.notMatch(ask(samplePod(), 'pod', namespace).decision, { reasons: ['system-pod'] }, namespace)
  const lying = samplePod({ metadata: { namespace: 'kube-system' } })
  t.equal(ask(lying).decision.outcome, 'inject', "the review's namespace counts, not what the pod says")
})

t.test('keys that mean something to JavaScript', async (t) => {
  const poisoned = JSON.parse(`{
    "__proto__": { "polluted": true },
    "metadata": {
      "name": "train",
      "annotations": { "reprieve.dev/checkpoint": "true", "__proto__": "x", "toString": "y" },
      "labels": { "__proto__": "x", "hasOwnProperty": "y" }
    },
    "spec": {
      "nodeSelector": { "constructor": "x" },
      "containers": [{ "name": "constructor", "command": ["x"], "__proto__": { "tty": true } }],
      "volumes": [{ "name": "toString", "__proto__": { "hostPath": { "path": "/" } } }]
    }
  }`) as Pod
  t.equal(ask(poisoned).decision.outcome, 'inject')
  const inherited = JSON.parse(
    '{"metadata":{"name":"a","__proto__":{"annotations":{"reprieve.dev/checkpoint":"true"}}},"spec":{"containers":[{"name":"c","command":["x"]}]}}',
  ) as Pod
  t.match(ask(inherited).decision, { outcome: 'skip', reasons: ['not-opted-in'] })
  t.same(Object.keys(Object.prototype), [])
})

t.test('values nested a thousand deep', async (t) => {
  let deep: unknown = 'x'
  for (let depth = 0; depth < 1000; depth++) deep = { deep: [deep] }
  const pod = samplePod({ spec: { affinity: deep } })
  Object.assign(pod.spec, { unknown: deep })
  t.equal(ask(pod).decision.outcome, 'inject')
})

t.test('each of these is documented, and nothing else is', async (t) => {
  const source = readFileSync(import.meta.filename, 'utf8')
  const tests = [...source.matchAll(/^t\.test\('(.*)', async/gm)].map((match) => match[1] ?? '').slice(0, -1)
  t.same(Object.keys(hostilePods), tests)
})
