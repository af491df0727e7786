/**
 * The promise that everything else serves, looked at after every write: a leaf that a replica may be serving is trusted by every caBundle until it
 * expires, and a leaf enters the Secret only when it already is.
 */
import { X509Certificate } from 'node:crypto'
import type { TestApiServer } from './api-server.ts'
import { bundlesIn, isTrusted, secretIn } from './cluster-stage.ts'

export type Watch = { broken: string[]; leaves: () => number }

/** @param begun leaves that replicas serve already */
export function watchServedLeaves(server: TestApiServer, begun: string[] = []): Watch {
  const broken: string[] = []
  const inService = new Set(begun)
  // What somebody has put there is not our doing; the webhook does not serve it before it is trusted.
  let last = secretIn(server).cert
  let writes = 0
  server.afterWrite = ({ method, path }) => {
    if (path.includes('/leases')) return
    writes++
    const now = server.now()
    const bundles = bundlesIn(server)
    const { cert } = secretIn(server)
    const trustedBy = (leaf: string) => bundles.filter((bundle) => isTrusted(leaf, bundle, now)).length
    const say = (leaf: string, what: string) =>
      broken.push(`write ${writes}, ${method} ${path}: ${what} ${new X509Certificate(leaf).serialNumber}`)
    for (const leaf of inService)
      if (new X509Certificate(leaf).validToDate <= now) inService.delete(leaf)
      else if (trustedBy(leaf) < bundles.length) say(leaf, 'a served leaf is not trusted everywhere:')
    if (cert === '' || inService.has(cert)) return
    if (cert !== last && inService.size > 0 && trustedBy(cert) < bundles.length)
      say(cert, 'a leaf came before its trust:')
    last = cert
    if (trustedBy(cert) === bundles.length) inService.add(cert)
  }
  return { broken, leaves: () => inService.size }
}
