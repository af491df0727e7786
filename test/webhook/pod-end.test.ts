import t from 'tap'
import { whyNotReplaced } from '../../webhook/pod-end.ts'
import { samplePod } from './admission-fixtures.ts'

const ownerReferences = [{ apiVersion: 'batch/v1', kind: 'Job', name: 'train', controller: true }]
const other = { name: 'mesh', image: 'mesh:1' }

function why(change: Parameters<typeof samplePod>[0], key?: string) {
  const pod = samplePod({ metadata: { ownerReferences }, ...change })
  const [container] = pod.spec.containers
  return container === undefined ? 'no container' : whyNotReplaced(pod, container, key)
}

t.test('a pod of one container that is not started again is replaced by its controller', async (t) => {
  t.equal(why({ spec: { restartPolicy: 'Never' } }), undefined)
  t.equal(why({ spec: { restartPolicy: 'Never' }, metadata: { ownerReferences: [] } }, 'mine'), undefined)
})

t.test('any other is not, and it is said why', async (t) => {
  t.match(
    why({}),
    /^with restartPolicy Always it would be started again/,
    'what the API server makes of none',
  )
  t.match(why({ spec: { restartPolicy: 'OnFailure' } }), /^with restartPolicy OnFailure/)
  t.match(why({ spec: { restartPolicy: 'Never' }, container: { restartPolicy: 'Always' } }), /^with restartPolicy Always/) // prettier-ignore
  t.match(
    why({
      spec: { restartPolicy: 'Never' },
      container: { restartPolicy: 'Never', restartPolicyRules: [{ action: 'Restart' }] },
    }),
    /restartPolicyRules/,
  )
  const [main] = samplePod().spec.containers
  if (main === undefined) return t.fail('no container')
  t.match(why({ spec: { restartPolicy: 'Never', containers: [main, other] } }), /run on with the other/)
  t.match(why({ spec: { restartPolicy: 'Never' }, metadata: { ownerReferences: [] } }), /no controller/)
})
