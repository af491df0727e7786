/** Without the launcher, which locks; what it answers is in test/launcher and in test/e2e/lineage.test.ts. */
import t from 'tap'
import { patienceMsOf, SlotLock } from '../../../sidecar/lineage/slot-lock.ts'
import { ReprieveError } from '../../../src/errors.ts'
import { quietLog } from '../quiet-log.ts'

const identity = { name: 'p', uid: 'u', node: 'n' }

const silent = () => Promise.reject(new ReprieveError('store-failed', 'aborted', { aborted: true }))

t.test('a store that does not answer names nobody, and may have somebody at work', async (t) => {
  const lock = new SlotLock(silent, identity, quietLog)
  t.match(await lock.take(0, AbortSignal.timeout(1_000)), { outcome: 'busy', isNamed: false })
  t.equal(lock.isTaken, false)
})

t.test('one that refuses keeps nobody out', async (t) => {
  const lock = new SlotLock(() => Promise.reject(new Error('read-only')), identity, quietLog)
  t.match(await lock.take(0, AbortSignal.timeout(1_000)), { outcome: 'unfenced', why: /read-only/ })
})

t.test('a pod waits only as long as it is told for one that does not end', async (t) => {
  const lock = new SlotLock(silent, identity, quietLog)
  t.match(await lock.await(AbortSignal.timeout(60_000), false, 0), { outcome: 'busy' })
})

t.test(
  'a further replica of a Deployment is known by its lineage, and waits for a moment only',
  async (t) => {
    const [replica, other] = [
      patienceMsOf('ml-team/Deployment/web'),
      patienceMsOf('ml-team/StatefulSet/web/0'),
    ]
    t.ok(replica < other && replica >= 2_000, 'long enough for the announcement of an end')
    t.equal(patienceMsOf('ml-team/ReplicaSet/web'), replica)
    // Kinds of other groups, keys, and pods that a Deployment itself owns are not theirs.
    for (const lineage of [
      'ml-team/Deployment.example.org/web',
      'ml-team/Deployment/flink/flink-1',
      'ml-team/key/Deployment',
      'ml-team/Pod/web',
    ])
      t.equal(patienceMsOf(lineage), other, lineage)
  },
)
