/** Without the launcher, which locks; what it answers is in test/launcher and in test/e2e/lineage.test.ts. */
import t from 'tap'
import { SlotLock } from '../../../sidecar/lineage/slot-lock.ts'
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
