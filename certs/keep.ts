/** One pass over the certificates, in a folder or in a cluster: idempotent, so that it can be run as often as one likes. */
import { ensureSecret, ensureTrust, type ClusterNames } from './cluster.ts'
import { readCertificateFiles, writeCertificateFiles } from './files.ts'
import type { KubeApi } from '../src/kube-api.ts'
import { renew, type RenewalTerms } from './renewal.ts'

export type Kept = { changed: string[] }

/** Everything in one folder, the CA's key included: for local use and for tests. */
export async function keepInFolder(folder: string, terms: RenewalTerms): Promise<Kept> {
  const { set, changed } = renew(await readCertificateFiles(folder), terms)
  if (changed.length > 0) await writeCertificateFiles(folder, set)
  return { changed }
}

/** In the cluster: the API servers' trust first, and only then the leaf that this replica serves with. */
export async function keepInCluster(
  api: KubeApi,
  names: ClusterNames,
  folder: string,
  terms: RenewalTerms,
): Promise<Kept> {
  const { set, changed } = await ensureSecret(api, names, terms)
  const trusted = await ensureTrust(api, names, set.caBundle)
  const { cert, key } = set
  await writeCertificateFiles(folder, { cert, key, caBundle: set.caBundle })
  return { changed: trusted ? [...changed, 'trust'] : changed }
}
