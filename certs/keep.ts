/** One pass over the certificates, in a folder or in a cluster: idempotent, so that it can be run as often as one likes. */
import { ReprieveError } from '../src/errors.ts'
import type { KubeApi } from '../src/kube-api.ts'
import {
  publish,
  readConfigurations,
  readSecret,
  writeSecret,
  type ClusterNames,
  type Written,
} from './cluster.ts'
import { readCertificateFiles, writeCertificateFiles } from './files.ts'
import type { Lease } from './lease.ts'
import { nextStep, type Terms, type WriteReason } from './rotation.ts'
import type { Settling } from './settling.ts'

export type Kept = {
  /** The writes of this pass, in order. */
  changed: (WriteReason | 'published')[]
  /** `settling`: a new CA is published and not used yet. `waiting`: a write is due, and another replica holds the lease. */
  state: 'done' | 'settling' | 'waiting'
}

export type Cluster = { api: KubeApi; names: ClusterNames; lease: Lease; settling: Settling }

/** A rotation takes six; the rest is for conflicts. */
const mostSteps = 20

/** Everything in one folder, the CA's key included: for local use and for tests. Its own ca.crt is the trusted bundle. */
export async function keepInFolder(folder: string, terms: Terms, now: Date): Promise<Kept> {
  const changed: Kept['changed'] = []
  let set = await readCertificateFiles(folder)
  let trusted = set?.caBundle
  for (;;) {
    const published = trusted === undefined ? [] : [trusted]
    const step = nextStep({ set, published, now, isSettled: () => true }, terms)
    if (step.do === 'publish') trusted = step.caBundle
    else if (step.do === 'write') {
      set = step.set
      trusted ??= set.caBundle
      await writeCertificateFiles(folder, set)
      changed.push(step.why)
    } else return { changed, state: 'done' }
  }
}

/** @throws ReprieveError when the API server refuses; an Error when it does not answer. The next pass goes on from what was written. */
export async function keepInCluster({ api, names, lease, settling }: Cluster, terms: Terms): Promise<Kept> {
  const changed: Kept['changed'] = []
  const end = async (state: Kept['state']) => (await lease.release(), { changed, state })
  let last: Written = 'written'
  for (let steps = 0; steps < mostSteps; steps++) {
    const found = await readSecret(api, names)
    const configurations = await readConfigurations(api, names.webhookConfiguration)
    const published = configurations.flatMap(({ entries }) => entries.map(({ caBundle }) => caBundle))
    settling.observe(published)
    const isSettled = (authority: string) => settling.isSettled(authority)
    const step = nextStep({ set: found.set, published, now: found.now, isSettled }, terms)
    if (step.do === 'nothing') return end('done')
    if (step.do === 'settle') return end('settling')
    const hold = await lease.hold()
    if (!hold.held) return { changed, state: 'waiting' }
    // The former holder may have written since this pass read.
    if (hold.since === 'now') continue
    if (step.do === 'write') {
      last = await writeSecret(api, names, found, step.set)
      if (last === 'written') changed.push(step.why)
      continue
    }
    const { caBundle } = step
    const stale = configurations.find(({ entries }) => entries.some((entry) => entry.caBundle !== caBundle))
    if (stale === undefined) continue
    last = await publish(api, stale, caBundle)
    if (last === 'written') changed.push('published')
  }
  throw new ReprieveError(
    'deadline-passed',
    `the certificates did not come to rest in ${mostSteps} steps (the last write: ${last}): somebody else keeps changing Secret ${names.secret} or the caBundle of ${names.webhookConfiguration}`,
    { changed, last },
  )
}
