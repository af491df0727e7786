/**
 * Makes and renews the webhook's certificates.
 *   node certs/main.ts --out DIR --dns NAME[,NAME…]                    locally, once
 *   node certs/main.ts --out DIR --dns NAME[,NAME…] --secret NAMESPACE/NAME --webhook NAME [--every 1h]    in a pod
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createLog } from '../src/log.ts'
import { describeError } from '../src/errors.ts'
import { keepInCluster, keepInFolder, type Kept } from './keep.ts'
import { accessFromPod, createKubeApi } from '../src/kube-api.ts'
import { readOptions } from './options.ts'

const log = createLog('certs')
const ending = new AbortController()
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => ending.abort())

try {
  const { folder, dnsNames, caDays, leafDays, everyMs, retryMs, cluster } = readOptions(process.argv.slice(2))
  const api = cluster === undefined ? undefined : createKubeApi(await accessFromPod(process.env))
  const pass = async (): Promise<Kept> => {
    const terms = { dnsNames, now: new Date(), caDays, leafDays }
    return api === undefined || cluster === undefined
      ? keepInFolder(folder, terms)
      : keepInCluster(api, cluster, folder, terms)
  }
  if (everyMs === undefined) log.info(await pass(), 'kept the certificates')
  else {
    while (!ending.signal.aborted) {
      const waitMs = await pass().then(
        (kept) => (log.info(kept, 'kept the certificates'), everyMs),
        (error: unknown) => (
          log.error({ error: describeError(error) }, 'could not keep the certificates'),
          retryMs
        ),
      )
      await sleep(waitMs, undefined, { signal: ending.signal }).catch(() => undefined)
    }
  }
} catch (error) {
  log.fatal({ error: describeError(error) }, 'failed')
  process.exitCode = 1
}
