/**
 * The owner of a pod must not reach the volumes that injection adds: the store's holds the memory of every pod that uses it. Every combination is
 * tried here; the table of pods has the answer to one of each (pods.test.ts).
 */
import t from 'tap'
import { podObstacles } from '../../webhook/obstacles.ts'
import type { Pod } from '../../webhook/pod.ts'
import { samplePod } from './admission-fixtures.ts'

const kinds = ['initContainers', 'containers', 'ephemeralContainers'] as const
const injectedVolumes = ['reprieve', 'reprieve-staging', 'reprieve-store']

/** The sample, with one more container of the kind. */
function podWith(kind: (typeof kinds)[number], more: object): Pod {
  const container = { name: 'other', command: ['sleep'], ...more }
  return samplePod({
    spec: { [kind]: [...(kind === 'containers' ? samplePod().spec.containers : []), container] },
  })
}

const reasonsOf = (pod: Pod) => podObstacles(pod).map(({ reason }) => reason)

t.test('no container of any kind mounts an injected volume, wherever and however', async (t) => {
  const ways: [string, object][] = [
    ['volumeMounts', { mountPath: '/loot' }],
    ['volumeMounts', { mountPath: '/loot', readOnly: true }],
    ['volumeMounts', { mountPath: '/loot', subPath: 'other-team' }],
    ['volumeMounts', { mountPath: '/loot', subPathExpr: '$(TEAM)' }],
    ['volumeDevices', { devicePath: '/dev/loot' }],
  ]
  for (const kind of kinds)
    for (const name of [...injectedVolumes, 'reprieve-of-tomorrow'])
      for (const [field, way] of ways) {
        const found = podObstacles(podWith(kind, { [field]: [{ name, ...way }] }))
        t.match(
          found,
          [{ reason: 'mount-conflict', text: `container other mounts the volume ${name},` }],
          `${kind} ${field} ${name}`,
        )
        t.equal(found.length, 1)
      }
})

t.test('no container of any kind takes a reserved path or a reserved name', async (t) => {
  for (const kind of kinds) {
    t.same(
      reasonsOf(
        podWith(kind, { volumeMounts: [{ name: 'own', mountPath: '/reprieve/bin', subPathExpr: '$(X)' }] }),
      ),
      ['mount-conflict'],
      kind,
    )
    t.same(reasonsOf(podWith(kind, { name: 'reprieve-sidecar' })), ['container-conflict'], kind)
  }
})

t.test('a volume of any kind with a reserved name is an obstacle', async (t) => {
  const sources = [
    { emptyDir: {} },
    { ephemeral: { volumeClaimTemplate: { spec: {} } } },
    { projected: { sources: [] } },
    { csi: { driver: 'd' } },
    { image: { reference: 'r' } },
    {},
  ]
  for (const source of sources)
    for (const name of injectedVolumes)
      t.same(
        reasonsOf(samplePod({ spec: { volumes: [{ name, ...source }] } })),
        ['mount-conflict'],
        `${JSON.stringify(source)} ${name}`,
      )
})
