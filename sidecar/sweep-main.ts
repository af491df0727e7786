/**
 * Sweeps a whole store: `node sidecar/sweep-main.js --store FOLDER [--ttl 168h] [--namespace-bytes 100Gi] [--namespace NAME] [--dry-run]
 * [--every 1h] [--migrate]`. A CronJob runs it for a store on the network, a DaemonSet (with `--every`) for the nodes' own. With `--migrate`
 * it moves what a release before 0.3 left into the folders of the namespaces (docs/install.md), and then sweeps only if it is told a `--ttl`.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { parseDurationMs } from '../src/duration.ts'
import { describeError } from '../src/errors.ts'
import { createLog } from '../src/log.ts'
import { usualTtlMs } from '../src/pod-plan.ts'
import { parseQuantityBytes } from '../src/quantity.ts'
import { createDirectoryStore } from '../src/store/directory.ts'
import { migrateStore, type Migrated } from '../src/store/migrate-store.ts'
import type { Retention } from '../src/store/retention.ts'
import type { Swept } from '../src/store/sweep-store.ts'
import { sweepLock } from './lineage/namespace-sweep.ts'

/** In the image: a pod of the sweep has no shared volume. */
const launcher = '/usr/local/lib/reprieve/launcher'
const deadlineMs = 3_600_000

const { values } = parseArgs({
  options: {
    store: { type: 'string' },
    ttl: { type: 'string' },
    'namespace-bytes': { type: 'string' },
    namespace: { type: 'string' },
    every: { type: 'string' },
    'dry-run': { type: 'boolean', default: false },
    migrate: { type: 'boolean', default: false },
  },
})

async function sweepOnce(path: string, retention: Retention): Promise<boolean> {
  const signal = AbortSignal.timeout(deadlineMs)
  const store = createDirectoryStore({ name: 'swept', path, log: createLog('sweep') })
  const { namespace, 'dry-run': dryRun } = values
  const which = {
    ...(namespace === undefined ? {} : { namespace }),
    dryRun,
    lock: sweepLock(signal, launcher),
  }
  const migrated = values.migrate ? await migrateStore(path, which, signal) : []
  for (const slot of migrated) process.stdout.write(`${migrationOf(slot)}\n`)
  if (values.migrate && migrated.length === 0) process.stdout.write('nothing to move\n')
  const isAllRight = migrated.every(({ outcome }) => outcome !== 'failed')
  if (values.migrate && values.ttl === undefined) return isAllRight
  const swept = await store.sweep({ retention, ...which }, signal)
  for (const slot of swept) process.stdout.write(`${lineOf(slot)}\n`)
  if (swept.length === 0) process.stdout.write('nothing to remove\n')
  return isAllRight && swept.every(({ outcome }) => outcome !== 'failed')
}

function migrationOf({ lineage, container, outcome, detail }: Migrated): string {
  const words = {
    moved: 'moved into the folder of its namespace:',
    'would-move': 'would move into the folder of its namespace:',
    'in-use': 'left, a pod uses it or ended less than 15 minutes ago:',
    superseded: 'left, the folder of its namespace has a newer one:',
    failed: 'failed to move',
  }
  return `${words[outcome]} ${lineage} ${container}${detail === undefined ? '' : `: ${detail}`}`
}

function durationOf(name: string, text: string | undefined): number | undefined {
  const ms = text === undefined ? undefined : parseDurationMs(text)
  if (text !== undefined && ms === undefined)
    throw new Error(`--${name} must be a duration such as 1h, not ${text}`)
  return ms
}

function lineOf({ lineage, container, idleMs, bytes, checkpoints, why, outcome, detail }: Swept): string {
  const words = {
    removed: 'removed',
    'would-remove': 'would remove',
    'in-use': 'left, a pod uses it:',
    failed: 'failed to remove',
  }
  const hours = Math.round(idleMs / 3_600_000)
  const size = bytes > 0 ? `, ${(bytes / 2 ** 20).toFixed(1)} MiB` : ''
  const cause = why === 'ttl' ? 'its time to live is over' : 'its namespace has too many bytes'
  const more = detail === undefined ? '' : `: ${detail}`
  return `${words[outcome]} ${lineage} ${container} (${checkpoints} checkpoints${size}, last used ${hours} h ago, ${cause})${more}`
}

try {
  if (values.store === undefined) throw new Error('--store FOLDER is missing')
  const everyMs = durationOf('every', values.every)
  const bytes = values['namespace-bytes']
  const namespaceBytes = bytes === undefined ? undefined : parseQuantityBytes(bytes)
  if (bytes !== undefined && namespaceBytes === undefined)
    throw new Error(`--namespace-bytes must be a quantity such as 100Gi, not ${bytes}`)
  const ttlMs = durationOf('ttl', values.ttl) ?? usualTtlMs
  const retention = { ttlMs, ...(namespaceBytes === undefined ? {} : { namespaceBytes }) }
  for (;;) {
    if (!(await sweepOnce(values.store, retention))) process.exitCode = 1
    if (everyMs === undefined) break
    await delay(everyMs)
  }
} catch (error) {
  process.stderr.write(`the store was not swept: ${describeError(error)}\n`)
  process.exitCode = 1
}
