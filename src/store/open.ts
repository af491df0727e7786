import type { EventLog } from '../log.ts'
import type { StorePlan } from '../pod-plan.ts'
import { createDirectoryStore } from './directory.ts'
import type { Store } from './store.ts'

/** The store that a plan names. It touches nothing before its first use. */
export function openStore(plan: StorePlan, log: EventLog): Store {
  switch (plan.kind) {
    case 'directory':
      return createDirectoryStore({ name: plan.name, path: plan.path, log: log.child({ store: plan.name }) })
  }
}
