import t from 'tap'
import { admit } from '../../webhook/admit.ts'
import { recorded, sampleConfig, samplePod } from './admission-fixtures.ts'
import { inject } from './patched-pod.ts'

const config = sampleConfig()

t.test('a second call about a pod gives no key another value: the API server would log it', async (t) => {
  const { request } = recorded('create-bare-pod')
  const about = (object: object) => admit({ ...request, namespace: 'ml-team', object }, 'pod', config)
  const pod = samplePod()
  const first = about(pod)
  t.strictSame(first.response.auditAnnotations, { outcome: 'inject', lineage: 'ml-team/Pod/train' })
  const second = about(inject(pod, config)?.after ?? pod)
  t.match(second.decision, { outcome: 'skip', reasons: ['already-injected'] })
  t.strictSame(second.response.auditAnnotations, {})
})
