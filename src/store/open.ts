import type { EventLog } from '../log.ts'
import type { StorePlan } from '../pod-plan.ts'
import { createDirectoryStore } from './directory.ts'
import type { Store } from './store.ts'

/** The store that a plan names. It touches nothing before its first use. */
export function openStore({ kind, ...plan }: StorePlan, log: EventLog): Store {
  switch (kind) {
    case 'directory':
      return createDirectoryStore({ ...plan, log: log.child({ store: plan.name }) })
  }
}
