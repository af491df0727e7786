import t from 'tap'
import { parsePodPlan, type PodPlan } from '../../src/pod-plan.ts'

const plan: PodPlan = {
  version: 1,
  namespace: 'ml-team',
  lineage: 'ml-team/StatefulSet/train/0',
  store: { kind: 'directory', name: 'default', path: '/store' },
  keep: 3,
  restore: 'latest',
  triggers: ['memory', 'manual'],
  checkpointBudgetMs: 25_000,
  statusPort: 9_901,
  cloud: { name: 'auto', endpoint: { host: '169.254.169.254', port: 80 } },
  interval: { everyMs: 60_000 },
  meanTimeBetweenFailuresMs: 86_400_000,
  nodeEvictionBytes: 104_857_600,
  containers: [
    {
      name: 'train',
      fingerprint: 'abc',
      emptyDirs: ['/scratch'],
      external: [],
      memory: {
        thresholdPercent: 85,
        answer: 'grow',
        maxBytes: 4_294_967_296,
        resizeSocket: '/reprieve/run/resize.sock',
        recordsNeeds: true,
        staysBecause: 'its pod would run on',
      },
    },
  ],
}

t.test('reads what the webhook writes', async (t) => {
  t.strictSame(parsePodPlan(JSON.stringify(plan)), plan)
  t.strictSame(parsePodPlan(JSON.stringify({ ...plan, triggers: [], statusPort: 0 })).triggers, [])
  t.equal(parsePodPlan(JSON.stringify({ ...plan, statusHost: '0.0.0.0' })).statusHost, '0.0.0.0')
})

const wrong: [string, unknown][] = [
  ['version', 2],
  ['namespace', ''],
  ['lineage', 7],
  ['restore', undefined],
  ['keep', 0],
  ['keep', 1.5],
  ['checkpointBudgetMs', -1],
  ['checkpointBudgetMs', '1'],
  ['statusPort', 65_536],
  ['statusHost', ''],
  ['store', { ...plan.store, path: 'relative' }],
  ['store', { ...plan.store, kind: 's3' }],
  ['store', null],
  ['triggers', ['sunshine']],
  ['triggers', 'memory'],
  ['cloud', undefined],
  ['cloud', { name: 'moon' }],
  ['cloud', { name: 'aws', endpoint: 'http://169.254.169.254' }],
  ['cloud', { name: 'aws', endpoint: { host: '', port: 80 } }],
  ['cloud', { name: 'aws', endpoint: { host: 'a', port: 65_536 } }],
  ['interval', 'often'],
  ['interval', { everyMs: 999 }],
  ['meanTimeBetweenFailuresMs', 0],
  ['containers', []],
  ['containers', {}],
  ['containers', [null]],
  ['containers', [{ ...plan.containers[0], name: '../../etc' }]],
  ['containers', [{ ...plan.containers[0], name: 'a'.repeat(64) }]],
  ['containers', [{ ...plan.containers[0], fingerprint: undefined }]],
  ['containers', [{ ...plan.containers[0], emptyDirs: [1] }]],
  ['containers', [{ ...plan.containers[0], exclude: '/scratch' }]],
  ['containers', [{ ...plan.containers[0], memory: undefined }]],
  ...[
    { thresholdPercent: 0 },
    { thresholdPercent: 100 },
    { answer: 'pray' },
    { maxBytes: -1 },
    { resizeSocket: 'relative' },
    { recordsNeeds: 'yes' },
    { staysBecause: true },
  ].map((wrong): [string, unknown] => {
    const [container] = plan.containers
    return ['containers', [{ ...container, memory: { ...container?.memory, ...wrong } }]]
  }),
  ['nodeEvictionBytes', -1],
  ['nodeEvictionPercent', 0],
  ['nodeEvictionPercent', 100],
  ['nodeEvictionPercent', '5%'],
]
for (const [key, value] of wrong)
  t.test(`refuses ${key} ${JSON.stringify(value)}, and names it`, async (t) => {
    t.throws(() => parsePodPlan(JSON.stringify({ ...plan, [key]: value })), {
      code: 'plan-invalid',
      message: new RegExp(`not a pod plan: ${key}`),
    })
  })

t.test('all problems are named at once', async (t) => {
  t.throws(() => parsePodPlan('{}'), {
    code: 'plan-invalid',
    data: { problems: { length: 14 } },
  })
})

t.test('refuses what is no JSON, or no object', async (t) => {
  t.throws(() => parsePodPlan('{'), { code: 'plan-invalid', message: 'REPRIEVE_PLAN is not JSON' })
  for (const text of ['null', '[]', '1', '"a"'])
    t.throws(() => parsePodPlan(text), { message: /not an object/ })
})
