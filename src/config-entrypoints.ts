/** How the webhook finds out what an image runs, for containers that give no command. */
import { resolve } from 'node:path'
import type { ConfigReader } from './config-reader.ts'
import { parseDurationMs } from './duration.ts'

export type EntrypointConfig = Readonly<{
  /** `nowhere`: no registry is ever asked, and such containers are not protected. */
  from: 'registry' | 'nowhere'
  /** How long a pod's creation may wait for a registry. */
  budgetMs: number
  /** Taken where a pod does not say on which it will run: `amd64`, `arm64`. */
  architecture: string
  /** Hosts, with their ports, that are spoken to without TLS. */
  plainHttp: readonly string[]
  /** By the domain of an image: what is asked before it, in this order; `host[:port][/path]`. */
  mirrors: ReadonlyMap<string, readonly string[]>
  /** PEM certificates that are trusted besides the usual ones. */
  caFile?: string
  /** A docker config.json with credentials for pods that bring none. */
  credentialsFile?: string
}>

/** Well inside the 10 s that the manifests give the webhook; what comes later finds the answer in the cache. */
const defaultBudgetMs = 4000
const budgetRangeMs = { from: 500, to: 8000 }

const host = String.raw`(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?`
const hostForm = new RegExp(`^${host}$`)
const mirrorForm = new RegExp(`^${host}(?:/[a-z0-9]+(?:[._/-][a-z0-9]+)*)?$`)

/** @param folder what relative file names are resolved against */
export function readEntrypoints(section: ConfigReader, folder: string): EntrypointConfig {
  const mirrors = section.section('mirrors')
  const read: EntrypointConfig = {
    from: section.oneOf('from', 'registry', ['registry', 'nowhere']),
    budgetMs: section.parsed('budget', defaultBudgetMs, 'a duration from 500ms to 8s', (text) => {
      const ms = parseDurationMs(text)
      return ms !== undefined && ms >= budgetRangeMs.from && ms <= budgetRangeMs.to ? ms : undefined
    }),
    architecture: section.text('architecture', ownArchitecture(), {
      pattern: /^[a-z0-9]{1,16}$/,
      accepted: 'an architecture as nodes are labelled with it, for example amd64',
    }),
    plainHttp: section.texts('plainHttp', { pattern: hostForm, accepted: 'hosts, with a port if need be' }),
    mirrors: new Map(
      mirrors.names().map((domain) => {
        if (!hostForm.test(domain)) mirrors.problem(domain, 'must be named by the domain of images')
        const form = { pattern: mirrorForm, accepted: 'hosts, with a port and a path if need be' }
        return [domain, mirrors.texts(domain, form)] as const
      }),
    ),
    ...fileOf(section, 'caFile', folder),
    ...fileOf(section, 'credentialsFile', folder),
  }
  section.refuseOthers()
  return read
}

function fileOf<K extends string>(section: ConfigReader, name: K, folder: string): { [P in K]?: string } {
  const file = section.text(name, '')
  return file === '' ? {} : ({ [name]: resolve(folder, file) } as { [P in K]?: string })
}

/** Kubernetes calls architectures as Go does. */
function ownArchitecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch
}
