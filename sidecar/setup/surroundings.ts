/** The surroundings of the sidecar: plan, pod, versions, store and log. Every part gets them passed in, so that tests can choose them. */
import { release } from 'node:os'
import { readFileSync } from 'node:fs'
import type { EventLog } from '../../src/log.ts'
import { parsePodPlan, planVariable, type PodPlan } from '../../src/pod-plan.ts'
import type { Store } from '../../src/store/store.ts'
import { openStore } from '../../src/store/open.ts'
import { ProcessNumbers } from '../proc/process-numbers.ts'
import { PodEvents } from './pod-events.ts'
import { ReprieveError } from '../../src/errors.ts'

export type Identity = { name: string; uid: string; node: string }
export type Made = { kernel: string; criu: string; reprieve: string }

export type Surroundings = {
  podPlan: PodPlan
  identity: Identity
  made: Made
  store: Store
  log: EventLog
  /** Where the next processes of the pod get their numbers. */
  numbers: ProcessNumbers
  /** For the owner of the pod, by way of the node agent. */
  events: PodEvents
}

/** @throws ReprieveError `plan-invalid` */
export function readSurroundings(env: NodeJS.ProcessEnv, log: EventLog): Surroundings {
  const json = env[planVariable]
  if (json === undefined)
    throw new ReprieveError('plan-invalid', `${planVariable} is not set: the webhook sets it`)
  const podPlan = parsePodPlan(json)
  const identity = {
    name: env.REPRIEVE_POD_NAME ?? '',
    uid: env.REPRIEVE_POD_UID ?? '',
    node: env.REPRIEVE_NODE_NAME ?? '',
  }
  const bound = log.child({ namespace: podPlan.namespace, pod: identity.name, lineage: podPlan.lineage })
  const numbers = new ProcessNumbers(bound)
  return {
    podPlan,
    identity,
    made: readMade(),
    store: openStore(podPlan.store, bound),
    log: bound,
    numbers,
    events: new PodEvents(),
  }
}

function readMade(): Made {
  const ofPackage = new URL('../../package.json', import.meta.url)
  const { version } = JSON.parse(readFileSync(ofPackage, 'utf8')) as { version: string }
  return {
    kernel: release(),
    criu: readText('/usr/local/lib/reprieve/tools/criu-version'),
    reprieve: version,
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return 'unknown'
  }
}
