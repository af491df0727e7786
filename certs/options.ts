import { parseArgs } from 'node:util'
import { parseDurationMs } from '../src/duration.ts'
import { ReprieveError } from '../src/errors.ts'
import type { ClusterNames } from './cluster.ts'

export type CertsOptions = {
  folder: string
  dnsNames: string[]
  caDays: number
  leafDays: number
  /** Undefined: one pass, then the end. */
  everyMs?: number
  /** After a pass that failed. */
  retryMs: number
  /** Undefined: locally. */
  cluster?: ClusterNames
}

/** @throws ReprieveError `config-invalid`, naming every problem */
export function readOptions(words: string[]): CertsOptions {
  const { values } = parseArgs({
    args: words,
    options: {
      out: { type: 'string', default: '' },
      dns: { type: 'string', default: '' },
      secret: { type: 'string' },
      webhook: { type: 'string' },
      every: { type: 'string' },
      'ca-days': { type: 'string', default: '730' },
      'leaf-days': { type: 'string', default: '90' },
    },
  })
  const problems: string[] = []
  const dnsNames = values.dns.split(',').filter((name) => name !== '')
  const [namespace = '', secret = '', ...rest] = (values.secret ?? '').split('/')
  const everyMs = values.every === undefined ? undefined : parseDurationMs(values.every)
  const days = (name: 'ca-days' | 'leaf-days') => {
    if (!/^[1-9]\d{0,4}$/.test(values[name])) problems.push(`--${name} must be a number of days`)
    return Number(values[name])
  }
  const caDays = days('ca-days')
  const leafDays = days('leaf-days')
  if (values.out === '') problems.push('--out must name a folder')
  if (dnsNames.length === 0) problems.push('--dns must name at least one host')
  if (values.every !== undefined && (everyMs ?? 0) < 1000)
    problems.push('--every must be a duration of at least 1s')
  if ((values.secret === undefined) !== (values.webhook === undefined))
    problems.push('--secret and --webhook go together')
  if (values.secret !== undefined && (namespace === '' || secret === '' || rest.length > 0))
    problems.push('--secret must be NAMESPACE/NAME')
  if (problems.length > 0) throw new ReprieveError('config-invalid', problems.join('; '), { problems })
  return {
    folder: values.out,
    dnsNames,
    caDays,
    leafDays,
    retryMs: 10_000,
    ...(everyMs === undefined ? {} : { everyMs }),
    ...(values.webhook === undefined
      ? {}
      : { cluster: { namespace, secret, webhookConfiguration: values.webhook } }),
  }
}
