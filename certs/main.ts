/**
 * Makes and renews the webhook's certificates.
 *   node certs/main.ts --dns NAME[,NAME…] --out DIR                           in a folder, once
 *   node certs/main.ts --dns NAME[,NAME…] --secret NAMESPACE/NAME --webhook NAME    in a cluster, until it is told to stop
 * and how long things last: --ca-life 17520h --leaf-life 2160h, --settle 60s, --every 15s.
 */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { describeError } from '../src/errors.ts'
import { accessFromPod, createKubeApi } from '../src/kube-api.ts'
import type { LogEvent } from '../src/log-events.ts'
import { createLog, type EventLog } from '../src/log.ts'
import { keepInCluster, keepInFolder, type Cluster, type Kept } from './keep.ts'
import { Lease } from './lease.ts'
import { readOptions, type CertsOptions } from './options.ts'
import { Settling } from './settling.ts'

/** Less than what is left of a lease when something is written. */
// @deadline The API server does not answer `reprieve-certs` | It tries again, from what was written
const requestTimeoutMs = 5_000
/** While another one is at work or a CA settles, and after a pass that failed; then twice as long each time. */
const soonMs = 2_000

const log: EventLog = createLog('certs')
const ending = new AbortController()
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => ending.abort())

try {
  const options = readOptions(process.argv.slice(2))
  if (options.where === 'folder') {
    const kept = await keepInFolder(options.folder, options.terms, new Date())
    log.info(fieldsOf(kept), 'kept the certificates')
  } else await keepOn(options)
} catch (error) {
  log.fatal({ event: 'certs.failed', error: describeError(error) }, 'failed')
  process.exitCode = 1
}

async function keepOn(options: CertsOptions & { where: 'cluster' }): Promise<void> {
  const { names, terms, everyMs, settleMs } = options
  const api = createKubeApi(await accessFromPod(process.env), requestTimeoutMs)
  const identity = `${hostname()}_${randomUUID()}`
  const lease = new Lease({ api, namespace: names.namespace, name: names.secret, identity })
  const cluster: Cluster = { api, names, lease, settling: new Settling(settleMs) }
  log.info({ event: 'certificate.keeping', ...names, identity }, 'began to keep the certificates')
  let failures = 0
  while (!ending.signal.aborted) {
    const waitMs = await keepInCluster(cluster, terms).then(
      (kept) => {
        failures = 0
        log[kept.changed.length > 0 ? 'info' : 'debug'](fieldsOf(kept), 'kept the certificates')
        return kept.state === 'done' ? everyMs : soonMs
      },
      (error: unknown) => {
        log.error(
          { event: 'certificate.keep_failed', error: describeError(error) },
          'could not keep the certificates',
        )
        return soonMs * 2 ** Math.min(failures++, 10)
      },
    )
    await sleep(Math.min(waitMs, everyMs), undefined, { signal: ending.signal }).catch(() => undefined)
  }
  await lease.release()
  log.info({ event: 'certs.stopped' }, 'stopped')
}

function fieldsOf(kept: Kept): { event: LogEvent } & Kept {
  return { event: kept.changed.length > 0 ? 'certificate.rotated' : 'certificate.current', ...kept }
}
