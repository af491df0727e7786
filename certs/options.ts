import { parseArgs } from 'node:util'
import { parseDurationMs } from '../src/duration.ts'
import { ReprieveError } from '../src/errors.ts'
import { dayMs } from './authority.ts'
import type { ClusterNames } from './cluster.ts'
import type { Terms } from './rotation.ts'

export type CertsOptions = { terms: Terms } & (
  | { where: 'folder'; folder: string }
  | {
      where: 'cluster'
      names: ClusterNames
      everyMs: number
      /** How long a CA is published before a leaf of it is used. */
      settleMs: number
    }
)

/** @throws ReprieveError `config-invalid`, naming every problem */
export function readOptions(words: string[]): CertsOptions {
  const { values } = parseArgs({
    args: words,
    options: {
      dns: { type: 'string', default: '' },
      out: { type: 'string' },
      secret: { type: 'string' },
      webhook: { type: 'string' },
      every: { type: 'string', default: '15s' },
      settle: { type: 'string', default: '60s' },
      'ca-life': { type: 'string', default: '17520h' },
      'leaf-life': { type: 'string', default: '2160h' },
    },
  })
  const problems: string[] = []
  const dnsNames = values.dns.split(',').filter((name) => name !== '')
  const span = (name: 'every' | 'settle' | 'ca-life' | 'leaf-life') => {
    const ms = parseDurationMs(values[name])
    if (ms === undefined || ms < 1000 || ms > 87_600 * 3_600_000)
      problems.push(`--${name} must be a duration from 1s to 87600h`)
    return ms ?? 0
  }
  const everyMs = span('every')
  const settleMs = span('settle')
  const caDays = span('ca-life') / dayMs
  const leafDays = span('leaf-life') / dayMs
  const [namespace = '', secret = '', ...rest] = (values.secret ?? '').split('/')
  if (dnsNames.length === 0) problems.push('--dns must name at least one host')
  if ((values.out === undefined) === (values.secret === undefined))
    problems.push('either --out must name a folder, or --secret a Secret')
  if ((values.secret === undefined) !== (values.webhook === undefined))
    problems.push('--secret and --webhook go together')
  if (values.out === '' || values.webhook === '') problems.push('--out and --webhook must not be empty')
  if (values.secret !== undefined && (namespace === '' || secret === '' || rest.length > 0))
    problems.push('--secret must be NAMESPACE/NAME')
  // A CA is replaced when a third of its life is left, and its leaves must not outlive it.
  if (leafDays * 3 > caDays) problems.push('--leaf-life must be at most a third of --ca-life')
  if (problems.length > 0) throw new ReprieveError('config-invalid', problems.join('; '), { problems })
  const terms = { dnsNames, caDays, leafDays }
  return values.out !== undefined
    ? { terms, where: 'folder', folder: values.out }
    : {
        terms,
        where: 'cluster',
        names: { namespace, secret, webhookConfiguration: values.webhook ?? '' },
        everyMs,
        settleMs,
      }
}
