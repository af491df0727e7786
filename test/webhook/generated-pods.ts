/** Pods as fast-check makes them: valid for core/v1, and of as many forms as injection has to deal with. */
import fc from 'fast-check'
import type { Pod } from '../../webhook/pod.ts'

const label = fc.stringMatching(/^[a-z]([a-z0-9-]{0,8}[a-z0-9])?$/)
const text = fc.string({ maxLength: 12 })
const words = fc.array(text, { minLength: 1, maxLength: 4 })
const orAbsent = <T>(arbitrary: fc.Arbitrary<T>, freq = 2) => fc.option(arbitrary, { nil: undefined, freq })

/** Often enough to be met in a thousand pods, rarely enough that most pods are injected. */
const mostly = <T>(usual: T[], odd: T[]) =>
  fc.oneof(
    { weight: 24, arbitrary: fc.constantFrom(...usual) },
    { weight: 1, arbitrary: fc.constantFrom(...odd) },
  )

const quantity = fc.constantFrom('1', '100m', '1Gi', '128Mi', '0', '1.5', '2e3')
const resourceList = fc.record({ cpu: quantity, memory: quantity }, { requiredKeys: [] })
const resources = fc.oneof(
  mostly<object>([{}], [{ claims: [{ name: 'gpu' }] }]),
  fc.record({ limits: resourceList, requests: resourceList }, { requiredKeys: [] }),
  fc
    .record({ cpu: fc.constant('1'), memory: fc.constant('1Gi') })
    .map((all) => ({ limits: all, requests: all })),
)

const volumeSource = fc.constantFrom<Record<string, unknown>>(
  { emptyDir: {} },
  { emptyDir: { medium: 'Memory' } },
  { persistentVolumeClaim: { claimName: 'claim' } },
  { hostPath: { path: '/data' } },
  { configMap: { name: 'settings' } },
  { secret: { secretName: 'secret' } },
  { nfs: { server: 'nfs', path: '/' } },
  { projected: { sources: [] } },
  { ephemeral: { volumeClaimTemplate: { spec: { accessModes: ['ReadWriteOnce'] } } } },
  { csi: { driver: 'bucket.example', volumeAttributes: { bucket: 'b' } } },
  { image: { reference: 'registry.example/model:1' } },
)

const httpGet = fc.record(
  {
    port: fc.oneof(fc.integer({ min: 1, max: 65_535 }), fc.constantFrom('web', 'gone')),
    path: text,
    host: fc.constantFrom('', 'example.org', '::1'),
    scheme: fc.constantFrom('HTTP', 'HTTPS'),
    httpHeaders: fc.array(fc.record({ name: label, value: text }), { maxLength: 2 }),
  },
  { requiredKeys: ['port'] },
)
const handler = fc.oneof(
  fc.record({ exec: fc.record({ command: words }) }),
  fc.record({ httpGet }),
  fc.record({ sleep: fc.record({ seconds: fc.nat(60) }) }),
  fc.record({ tcpSocket: fc.record({ port: fc.constant(80) }) }),
)

const container = (name: string, volumes: string[]) =>
  fc.record(
    {
      name: fc.constant(name),
      image: fc.constantFrom('ml-app:1', 'registry.example/a/b@sha256:0'),
      command: fc.oneof({ weight: 24, arbitrary: words }, { weight: 1, arbitrary: fc.constant([]) }),
      args: words,
      workingDir: fc.constant('/srv'),
      tty: mostly([false], [true]),
      ports: fc.constantFrom([], [{ name: 'web', containerPort: 8080 }]),
      env: fc.array(
        fc.oneof(
          fc.record({ name: label, value: text }),
          fc.constantFrom(
            { name: 'ADDRESS', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
            { name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'token', key: 'value' } } },
          ),
        ),
        { maxLength: 3 },
      ),
      envFrom: fc.constantFrom([], [{ configMapRef: { name: 'settings' } }]),
      lifecycle: fc.record({ preStop: handler, postStart: handler }, { requiredKeys: [] }),
      resources,
      securityContext: fc.constantFrom(
        {},
        { runAsUser: 1000, runAsNonRoot: true, readOnlyRootFilesystem: true },
      ),
      volumeMounts: fc
        .uniqueArray(mostly(['/a', '/b/c', '/data', '/$(X)', '/reprieved'], ['/reprieve/x']), {
          maxLength: 3,
        })
        .chain((paths) =>
          fc.tuple(
            ...paths.map((mountPath) =>
              fc.record(
                {
                  name: fc.constantFrom(...volumes),
                  mountPath: fc.constant(mountPath),
                  readOnly: fc.boolean(),
                  subPath: fc.constant('part'),
                },
                { requiredKeys: ['name', 'mountPath'] },
              ),
            ),
          ),
        ),
    },
    { requiredKeys: ['name', 'image', 'command'] },
  )

const key = 'reprieve.dev/'
const annotations = fc.record(
  {
    [`${key}checkpoint`]: mostly(['true'], ['false', 'perhaps']),
    [`${key}triggers`]: mostly(['memory', 'manual,spot'], ['none']),
    [`${key}keep`]: mostly(['1', '100'], ['0']),
    [`${key}store`]: fc.constantFrom('default', 'shared', 'claimed'),
    [`${key}key`]: mostly(['mine'], ['a/b']),
    [`${key}memory-max`]: mostly(['16Gi'], ['1']),
    [`${key}exclude`]: mostly([undefined], ['/a', '/data/cache', 'a']),
    [`${key}without-env`]: mostly(['ADDRESS', 'a*'], ['A=1']),
    'cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes': fc.constantFrom('cache', 'cache,data'),
    'example.org/a~b': text,
  },
  { requiredKeys: [] },
)

const owner = fc.constantFrom(
  { apiVersion: 'batch/v1', kind: 'Job', name: 'job', uid: 'u', controller: true },
  { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-1', uid: 'u', controller: true },
  { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'set', uid: 'u', controller: true },
  { apiVersion: 'ray.io/v1', kind: 'RayCluster', name: 'demo', uid: 'u', controller: true },
)

const metadata = fc.record(
  {
    name: mostly(['set-0'], ['pod']),
    generateName: fc.constant('pod-'),
    labels: fc.oneof(fc.constant({}), fc.dictionary(label, label, { maxKeys: 3 })),
    annotations,
    ownerReferences: fc.array(owner, { maxLength: 1 }),
  },
  { requiredKeys: ['name', 'annotations'] },
)

export const generatedPod: fc.Arbitrary<Pod> = fc
  .record({
    volumeNames: fc.uniqueArray(
      fc.oneof({ weight: 30, arbitrary: label }, { weight: 1, arbitrary: fc.constant('reprieve') }),
      {
        minLength: 1,
        maxLength: 4,
      },
    ),
    containerNames: fc.uniqueArray(label, { minLength: 1, maxLength: 5 }),
    initCount: fc.nat(2),
  })
  .chain(({ volumeNames, containerNames, initCount }) => {
    const inits = containerNames.slice(1, 1 + initCount)
    const mains = containerNames.filter((name) => !inits.includes(name))
    return fc.record({
      apiVersion: fc.constant('v1'),
      kind: fc.constant('Pod'),
      metadata,
      spec: fc.record(
        {
          containers: fc.tuple(...mains.map((name) => container(name, volumeNames))),
          initContainers: fc.tuple(...inits.map((name) => container(name, volumeNames))),
          volumes: fc.tuple(
            ...volumeNames.map((name) => volumeSource.map((source) => Object.assign({ name }, source))),
          ),
          terminationGracePeriodSeconds: orAbsent(fc.nat(3600)),
          hostNetwork: mostly([false], [true]),
          shareProcessNamespace: mostly([true], [false]),
          hostUsers: mostly([true], [false]),
          resourceClaims: fc.constantFrom([], [{ name: 'gpu', resourceClaimTemplateName: 'gpu' }]),
          nodeSelector: fc.constantFrom({}, { 'kubernetes.io/os': 'linux' }),
          restartPolicy: fc.constantFrom('Always', 'Never', 'OnFailure'),
        },
        { requiredKeys: ['containers', 'volumes'] },
      ),
    }) as unknown as fc.Arbitrary<Pod>
  })
  // As JSON has it: what is undefined is not there.
  .map((pod) => JSON.parse(JSON.stringify(pod)) as Pod)
