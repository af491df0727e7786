import t from 'tap'
import { restoreCapabilities } from '../../webhook/capabilities.ts'
import { defaultCapabilities } from '../harness/security.ts'

t.test(
  'an ordinary container may not trace the restore container, which has a capability that it lacks',
  async (t) => {
    const ofEverybody = new Set(defaultCapabilities)
    t.ok(restoreCapabilities.some((name) => !ofEverybody.has(name)))
  },
)
