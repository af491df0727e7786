import t from 'tap'
import { admit, imagesToLookUp } from '../../webhook/admit.ts'
import { recorded, sampleConfig, samplePod } from './admission-fixtures.ts'

const config = sampleConfig()
const { request } = recorded('create-bare-pod')
const creation = { ...request, object: { apiVersion: 'v1', kind: 'Pod', ...samplePod() } }

t.test('what is created of a pod that is there already, such as its eviction, changes nothing', async (t) => {
  t.equal(admit(creation, 'pod', config).decision.outcome, 'inject', 'the pod itself is protected')
  for (const subResource of ['eviction', 'binding', 'exec', 'token', 'status'])
    // With the pod in it, too, which an API server does not send there.
    for (const object of [creation.object, { apiVersion: 'policy/v1', kind: 'Eviction' }, null]) {
      const about = { ...creation, subResource, object }
      t.match(
        admit(about, 'pod', config),
        { decision: { outcome: 'skip', reasons: ['not-a-pod-creation'] }, response: { allowed: true } },
        subResource,
      )
      t.notOk(Object.hasOwn(admit(about, 'pod', config).response, 'patch'), subResource)
    }
})

t.test('no image is looked up for it either', async (t) => {
  const pod = samplePod()
  delete pod.spec.containers[0]?.command
  t.ok(imagesToLookUp({ ...request, object: pod }, 'pod', config))
  t.equal(imagesToLookUp({ ...request, object: pod, subResource: 'eviction' }, 'pod', config), undefined)
})
