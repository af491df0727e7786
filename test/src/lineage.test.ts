import fc from 'fast-check'
import t from 'tap'
import { lineageOf, type LineageSource } from '../../src/lineage.ts'

const ref = (kind: string, name: string, apiVersion = 'apps/v1') => [
  { apiVersion, kind, name, controller: true },
]
const source = (part: Partial<LineageSource>): LineageSource => ({
  namespace: 'ml-team',
  labels: {},
  annotations: {},
  ownerReferences: [],
  ...part,
})

const owned = (kind: string, name: string, apiVersion = 'apps/v1') => ({
  ownerReferences: [{ apiVersion, kind, name, uid: 'u-1', controller: true }],
})

const incarnationOf = (part: Partial<LineageSource>) => {
  const lineage = lineageOf(source(part))
  return lineage.known ? lineage.incarnation : 'unknown'
}

t.test('an owner that is made once tells its incarnation, one that is made anew does not', async (t) => {
  const jobSet = Object.fromEntries(
    ['jobset-name', 'replicatedjob-name', 'job-index'].map((name) => [`jobset.sigs.k8s.io/${name}`, 'x']),
  )
  const cases: [string, Partial<LineageSource>, string | undefined][] = [
    ['a Job', owned('Job', 'once', 'batch/v1'), 'u-1'],
    ['a StatefulSet', { name: 'db-0', ...owned('StatefulSet', 'db') }, 'u-1'],
    ['a DaemonSet', { node: 'n1', ...owned('DaemonSet', 'agent') }, 'u-1'],
    ["an operator's object", { name: 'p', ...owned('PyTorchJob', 'p', 'kubeflow.org/v1') }, 'u-1'],
    ['a ReplicaSet of its own', owned('ReplicaSet', 'web'), 'u-1'],
    [
      'a Deployment',
      { labels: { 'pod-template-hash': '75c8' }, ...owned('ReplicaSet', 'web-75c8') },
      undefined,
    ],
    ['the Job of a JobSet', { labels: jobSet, ...owned('Job', 'x-x-0', 'batch/v1') }, undefined],
    [
      'a JobSet that says its own',
      { labels: { ...jobSet, 'jobset.sigs.k8s.io/jobset-uid': 'u-2' }, ...owned('Job', 'x-x-0', 'batch/v1') },
      'u-2',
    ],
    [
      'the StatefulSet of a LeaderWorkerSet',
      { name: 'g-1', labels: { 'leaderworkerset.sigs.k8s.io/name': 'g' }, ...owned('StatefulSet', 'g') },
      undefined,
    ],
    ['a bare pod', { name: 'train' }, undefined],
    ['a key', { key: 'mine', ...owned('Job', 'once', 'batch/v1') }, undefined],
  ]
  for (const [name, part, incarnation] of cases) t.equal(incarnationOf(part), incarnation, name)
})

/** A worker of KubeRay as it comes to the webhook: its name is made up afterwards. */
const rayWorker = {
  generateName: 'demo-tpu-worker-',
  labels: { 'ray.io/cluster': 'demo', 'ray.io/group': 'tpu', 'ray.io/node-type': 'worker', 'ray.io/is-ray-node': 'yes' }, // prettier-ignore
  ownerReferences: ref('RayCluster', 'demo', 'ray.io/v1'),
}

const shared = (part: Partial<LineageSource>) => Object.hasOwn(lineageOf(source(part)), 'shared')

t.test('each kind of workload has a lineage that its next pod has too', async (t) => {
  const index = 'batch.kubernetes.io/job-completion-index'
  const cases: [string, Partial<LineageSource>, string][] = [
    ['a bare pod, by its name', { name: 'train' }, 'ml-team/Pod/train'],
    [
      'a StatefulSet, by its ordinal',
      { name: 'trainer-12', ownerReferences: ref('StatefulSet', 'trainer') },
      'ml-team/StatefulSet/trainer/12',
    ],
    [
      'an indexed Job, by its completion index',
      { annotations: { [index]: '3' }, ownerReferences: ref('Job', 'sweep', 'batch/v1') },
      'ml-team/Job/sweep/3',
    ],
    [
      'an indexed Job whose index is only a label',
      { labels: { [index]: '3' }, ownerReferences: ref('Job', 'sweep', 'batch/v1') },
      'ml-team/Job/sweep/3',
    ],
    ['a plain Job', { ownerReferences: ref('Job', 'once', 'batch/v1') }, 'ml-team/Job/once'],
    [
      'a JobSet, whatever its Jobs are called',
      {
        labels: {
          'jobset.sigs.k8s.io/jobset-name': 'big',
          'jobset.sigs.k8s.io/replicatedjob-name': 'workers',
          'jobset.sigs.k8s.io/job-index': '1',
        },
        annotations: { [index]: '7' },
        ownerReferences: ref('Job', 'big-workers-1', 'batch/v1'),
      },
      'ml-team/JobSet/big/workers/1/7',
    ],
    [
      'a Deployment, without the template hash of its ReplicaSet',
      { labels: { 'pod-template-hash': '75c8' }, ownerReferences: ref('ReplicaSet', 'ingest-75c8') },
      'ml-team/Deployment/ingest',
    ],
    [
      'a ReplicaSet of its own',
      { ownerReferences: ref('ReplicaSet', 'ingest-75c8') },
      'ml-team/ReplicaSet/ingest-75c8',
    ],
    [
      'a DaemonSet, by its node',
      { node: 'node1', ownerReferences: ref('DaemonSet', 'agent') },
      'ml-team/DaemonSet/agent/node1',
    ],
    [
      'a Kubeflow job, by its replica labels',
      {
        labels: {
          'training.kubeflow.org/replica-type': 'worker',
          'training.kubeflow.org/replica-index': '2',
        },
        ownerReferences: ref('PyTorchJob', 'mnist', 'kubeflow.org/v1'),
      },
      'ml-team/PyTorchJob.kubeflow.org/mnist/worker/2',
    ],
    [
      "another group's Job, apart from Kubernetes' own",
      { name: 'j-task-0', ownerReferences: ref('Job', 'j', 'batch.volcano.sh/v1alpha1') },
      'ml-team/Job.batch.volcano.sh/j/j-task-0',
    ],
    [
      'a pod of OpenKruise’s StatefulSet, with both names',
      { name: 'web-0', generateName: 'web-', ownerReferences: ref('StatefulSet', 'web', 'apps.kruise.io/v1beta1') }, // prettier-ignore
      'ml-team/StatefulSet.apps.kruise.io/web/web-0',
    ],
    [
      'a host of a KubeRay group of several hosts, by group, replica and host',
      { ...rayWorker, labels: { ...rayWorker.labels, 'ray.io/worker-group-replica-name': 'tpu-af03d', 'ray.io/worker-group-replica-index': '0', 'ray.io/replica-host-index': '1' } }, // prettier-ignore
      'ml-team/RayCluster.ray.io/demo/tpu/0/1',
    ],
    [
      'a KubeRay worker whose group has an index',
      { ...rayWorker, labels: { ...rayWorker.labels, 'ray.io/worker-group-replica-index': '2' } },
      'ml-team/RayCluster.ray.io/demo/tpu/2',
    ],
    [
      'the head of a RayCluster, by the name that KubeRay gives it',
      { name: 'demo-head', labels: { 'ray.io/group': 'headgroup' }, ownerReferences: ref('RayCluster', 'demo', 'ray.io/v1') }, // prettier-ignore
      'ml-team/RayCluster.ray.io/demo/demo-head',
    ],
    [
      "a pod of Grove's PodClique",
      { generateName: 'decode-', labels: { 'grove.io/podclique-pod-index': '3' }, ownerReferences: ref('PodClique', 'decode', 'grove.io/v1alpha1') }, // prettier-ignore
      'ml-team/PodClique.grove.io/decode/3',
    ],
    [
      'a worker of a LeaderWorkerSet, by its StatefulSet',
      { name: 'vllm-0-2', labels: { 'leaderworkerset.sigs.k8s.io/name': 'vllm', 'leaderworkerset.sigs.k8s.io/group-index': '0', 'leaderworkerset.sigs.k8s.io/worker-index': '2' }, ownerReferences: ref('StatefulSet', 'vllm-0') }, // prettier-ignore
      'ml-team/StatefulSet/vllm-0/2',
    ],
    [
      'a worker of an MPIJob',
      { name: 'pi-worker-1', labels: { 'training.kubeflow.org/job-role': 'worker', 'training.kubeflow.org/replica-index': '1' }, ownerReferences: ref('MPIJob', 'pi', 'kubeflow.org/v2beta1') }, // prettier-ignore
      'ml-team/MPIJob.kubeflow.org/pi/1',
    ],
    [
      'the driver of a SparkApplication, by its name',
      { name: 'pi-driver', labels: { 'spark-role': 'driver', 'sparkoperator.k8s.io/app-name': 'pi' }, ownerReferences: ref('SparkApplication', 'pi', 'sparkoperator.k8s.io/v1beta2') }, // prettier-ignore
      'ml-team/SparkApplication.sparkoperator.k8s.io/pi/pi-driver',
    ],
    [
      "a DaemonSet of OpenKruise, as one of Kubernetes' own",
      { node: 'node1', generateName: 'agent-', ownerReferences: ref('DaemonSet', 'agent', 'apps.kruise.io/v1alpha1') }, // prettier-ignore
      'ml-team/DaemonSet.apps.kruise.io/agent/node1',
    ],
    [
      'a ReplicationController',
      { generateName: 'web-', ownerReferences: ref('ReplicationController', 'web', 'v1') },
      'ml-team/ReplicationController/web',
    ],
    [
      'a key, over everything',
      { key: 'mine', name: 'a', ownerReferences: ref('Job', 'b') },
      'ml-team/key/mine',
    ],
  ]
  for (const [name, part, expected] of cases)
    t.match(lineageOf(source(part)), { known: true, lineage: expected }, name)
})

t.test('pods that would share a lineage are said to', async (t) => {
  t.ok(shared({ ownerReferences: ref('Job', 'once', 'batch/v1') }))
  t.ok(shared({ ownerReferences: ref('ReplicaSet', 'web') }))
  t.ok(shared({ ownerReferences: ref('ReplicationController', 'web', 'v1') }))
  t.notOk(shared({ name: 'web-0', ownerReferences: ref('StatefulSet', 'web') }))
})

t.test('a pod without a lasting identity has no lineage, and the reason is told', async (t) => {
  const unknown: [string, Partial<LineageSource>][] = [
    ['only a generated name', {}],
    [
      'an owner that is not its controller',
      { ownerReferences: [{ apiVersion: 'v1', kind: 'Job', name: 'x' }] },
    ],
    ['a StatefulSet pod of a foreign name', { name: 'other-0', ownerReferences: ref('StatefulSet', 'web') }],
    ['a KubeRay worker without an index', rayWorker],
    ['a KubeRay worker as the cluster keeps it', { ...rayWorker, name: 'demo-tpu-worker-x7k2p' }],
    [
      'a pod of an operator whose long name was cut',
      { name: `${'n'.repeat(58)}x7k2p`, generateName: `${'n'.repeat(60)}-`, ownerReferences: ref('CloneSet', 'n', 'apps.kruise.io/v1alpha1') }, // prettier-ignore
    ],
    ["an unknown operator's pod without a name", { ownerReferences: ref('Thing', 'x', 'example.org/v1') }],
    ['a DaemonSet pod without a node', { ownerReferences: ref('DaemonSet', 'agent') }],
    ['no namespace', { namespace: '', name: 'x' }],
    ['a name that climbs', { name: '..' }],
    ['a key with a slash', { key: 'other/Pod/x' }],
  ]
  for (const [name, part] of unknown) {
    const lineage = lineageOf(source(part))
    t.equal(lineage.known, false, name)
    t.ok(!lineage.known && lineage.why.length > 0, name)
  }
})

t.test('whatever a pod says, its lineage is safe as a path and stays within its namespace', async (t) => {
  const text = fc.oneof(fc.string(), fc.constantFrom('..', '.', '/', 'a/b', '', 'x', '__proto__', 'a\0b'))
  fc.assert(
    fc.property(
      fc.record({
        namespace: fc.constantFrom('ml-team', '..', 'a/b'),
        labels: fc.dictionary(text, text),
        annotations: fc.dictionary(text, text),
        ownerReferences: fc.array(
          fc.record({ apiVersion: text, kind: text, name: text, controller: fc.boolean() }),
        ),
        key: fc.option(text, { nil: undefined }),
        name: fc.option(text, { nil: undefined }),
      }),
      ({ key, name, ...rest }) => {
        const made: LineageSource = { ...rest }
        if (key !== undefined) made.key = key
        if (name !== undefined) made.name = name
        const lineage = lineageOf(made)
        if (!lineage.known) return true
        const segments = lineage.lineage.split('/')
        return (
          segments[0] === made.namespace &&
          segments.every((part) => /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(part))
        )
      },
    ),
    { numRuns: 2000 },
  )
  t.pass('2000 sources')
})
