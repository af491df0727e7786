/** Without the launcher, which locks; what it answers is in test/launcher and in test/e2e/lineage.test.ts. */
import t from 'tap'
import { SlotClaim } from '../../../sidecar/lineage/slot-claim.ts'
import { ReprieveError } from '../../../src/errors.ts'
import { quietLog } from '../quiet-log.ts'

const identity = { name: 'p', uid: 'u', node: 'n' }

const silent = () => Promise.reject(new ReprieveError('store-failed', 'aborted', { aborted: true }))

t.test('a store that does not answer names nobody, and may have somebody at work', async (t) => {
  const claim = new SlotClaim(silent, identity, quietLog)
  t.match(await claim.take(0, AbortSignal.timeout(1_000)), { outcome: 'busy', isNamed: false })
  t.equal(claim.held, false)
})

t.test('one that refuses keeps nobody out', async (t) => {
  const claim = new SlotClaim(() => Promise.reject(new Error('read-only')), identity, quietLog)
  t.match(await claim.take(0, AbortSignal.timeout(1_000)), { outcome: 'unfenced', why: /read-only/ })
})
