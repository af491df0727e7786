/**
 * The next step for a set of certificates. Pure but for the randomness of new keys, and without state of its own: a process that starts after a
 * crash reads the last write and goes on from there. One step is one write, in an order in which no API server ever meets a
 * certificate that it does not trust yet:
 *
 *   a new CA enters the Secret → it stands beside the old one in every caBundle, for a while → a leaf of it enters the Secret
 *   → the last leaf of the old CA expires, so that no replica can serve one → the old CA leaves every caBundle → and the Secret
 */
import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { backdateMs, dayMs, makeAuthority, makeLeaf, type Validity } from './authority.ts'
import {
  bundleOf,
  certificatesIn,
  readSet,
  writeLedger,
  type CertificateSet,
  type ReadSet,
} from './certificate-set.ts'

export type Terms = {
  dnsNames: readonly string[]
  caDays: number
  leafDays: number
  keyBits?: Validity['keyBits']
}

export type Seen = {
  set: CertificateSet | undefined
  /** The caBundle of every entry of every webhook configuration, PEM. */
  published: readonly string[]
  /** By the API server's clock. */
  now: Date
  /** Whether the CA of this fingerprint has stood in every caBundle for so long that every API server must have seen it. */
  isSettled: (fingerprint: string) => boolean
}

export type WriteReason = 'made' | 'authority' | 'adopted' | 'leaf' | 'dropped'

export type Step =
  | { do: 'write'; why: WriteReason; set: CertificateSet }
  | { do: 'publish'; caBundle: string }
  /** A new CA is published, and not yet for long enough. */
  | { do: 'settle' }
  | { do: 'nothing' }

/** Renewed when less than this part of its life is left. */
const renewAtPart = 1 / 3
const authorityName = 'reprieve'
/** Of two kilobytes each, in objects of at most 1.5 MiB; more than three result from a fault that repeats. */
export const mostAuthorities = 8

export function nextStep(seen: Seen, terms: Terms): Step {
  const { now } = seen
  const read = readSet(seen.set)
  const known = read.authorities.filter((authority) => isAlive(authority, now))
  const strangers = strangersIn(seen.published, known, now)
  const issuer = read.issuer !== undefined && isValid(read.issuer.certificate, now) ? read.issuer : undefined

  if (issuer === undefined || remaining(issuer.certificate, now) < renewAtPart) {
    const others = [...known, ...strangers]
    return others.length === 0 ? makeAll(seen, terms) : makeNewAuthority(others, read, now, terms)
  }
  const ledgerless = known.some(({ fingerprint256 }) => !read.leavesUntil.has(fingerprint256))
  if (strangers.length > 0 || ledgerless) {
    const authorities = inOrder(issuer.certificate, [...known, ...strangers])
    return {
      do: 'write',
      why: 'adopted',
      set: setOf(authorities, issuer.key, read.leaf, { read, now, terms }),
    }
  }
  const wanted = inOrder(issuer.certificate, known).filter(
    (authority) =>
      authority === issuer.certificate ||
      now < (read.leavesUntil.get(authority.fingerprint256) ?? now) ||
      // Even where the ledger says otherwise.
      isTrustedLeaf(read.leaf, authority, now),
  )
  const caBundle = bundleOf(wanted)
  if (seen.published.some((published) => published !== caBundle)) return { do: 'publish', caBundle }

  if (!isGoodLeaf(read.leaf, issuer.certificate, now, terms)) {
    const mayBeServed = wanted.length > 1 || isTrustedLeaf(read.leaf, issuer.certificate, now)
    if (mayBeServed && !seen.isSettled(issuer.certificate.fingerprint256)) return { do: 'settle' }
    const authority = { cert: issuer.certificate.toString(), key: issuer.key }
    const leaf = makeLeaf(authority, terms.dnsNames, {
      from: now,
      days: terms.leafDays,
      keyBits: terms.keyBits,
    })
    return { do: 'write', why: 'leaf', set: setOf(wanted, issuer.key, leaf, { read, now, terms }) }
  }
  // Already out of every caBundle.
  if (wanted.length < read.authorities.length)
    return { do: 'write', why: 'dropped', set: setOf(wanted, issuer.key, read.leaf, { read, now, terms }) }
  return { do: 'nothing' }
}

/** API servers trust no CA yet, so a leaf that precedes its CA breaks no connection. */
function makeAll({ now }: Seen, terms: Terms): Step {
  const authority = makeAuthority(authorityName, { from: now, days: terms.caDays, keyBits: terms.keyBits })
  const leaf = makeLeaf(authority, terms.dnsNames, {
    from: now,
    days: terms.leafDays,
    keyBits: terms.keyBits,
  })
  const read = readSet({ caBundle: authority.cert, caKey: authority.key, ...leaf, leaves: '' })
  return { do: 'write', why: 'made', set: setOf(read.authorities, authority.key, leaf, { read, now, terms }) }
}

/** The leaf stays as it is, if it is one: others may be serving it. */
function makeNewAuthority(others: X509Certificate[], read: ReadSet, now: Date, terms: Terms): Step {
  const { cert, key } = makeAuthority(authorityName, {
    from: now,
    days: terms.caDays,
    keyBits: terms.keyBits,
  })
  const authorities = [...certificatesIn(cert), ...others].slice(0, mostAuthorities)
  return { do: 'write', why: 'authority', set: setOf(authorities, key, read.leaf, { read, now, terms }) }
}

function setOf(
  authorities: readonly X509Certificate[],
  caKey: string,
  leaf: { cert: string; key: string } | undefined,
  { read, now, terms }: { read: ReadSet; now: Date; terms: Terms },
): CertificateSet {
  const { cert = '', key = '' } = leaf ?? {}
  const leaves = [...(read.leaf === undefined ? [] : [read.leaf.certificate]), ...certificatesIn(cert)]
  const ledger = new Map<string, Date>()
  for (const authority of authorities) {
    // A CA without a record may have issued leaves until now. They live no longer than ours do.
    const recorded =
      read.leavesUntil.get(authority.fingerprint256) ?? new Date(now.getTime() + terms.leafDays * dayMs)
    const untils = leaves.filter((one) => isIssuedBy(one, authority)).map((one) => one.validToDate)
    ledger.set(
      authority.fingerprint256,
      [recorded, ...untils].reduce((a, b) => (a > b ? a : b)),
    )
  }
  return { caBundle: bundleOf(authorities), caKey, cert, key, leaves: writeLedger(ledger) }
}

/**
 * Authorities that API servers trust and the Secret lacks: the Secret was restored or made anew, or a foreign leaf is served. As many as there
 * is room for, the youngest first; the others are dropped when the bundle is published.
 */
function strangersIn(
  published: readonly string[],
  known: readonly X509Certificate[],
  now: Date,
): X509Certificate[] {
  const names = new Set(known.map(({ fingerprint256 }) => fingerprint256))
  return certificatesIn([...new Set(published)].join('\n'))
    .filter((authority) => !names.has(authority.fingerprint256) && isAlive(authority, now))
    .sort((a, b) => b.validFromDate.getTime() - a.validFromDate.getTime())
    .slice(0, Math.max(0, mostAuthorities - known.length))
}

function inOrder(issuer: X509Certificate, all: readonly X509Certificate[]): X509Certificate[] {
  return [issuer, ...all.filter(({ fingerprint256 }) => fingerprint256 !== issuer.fingerprint256)]
}

function isGoodLeaf(leaf: ReadSet['leaf'], issuer: X509Certificate, now: Date, { dnsNames }: Terms): boolean {
  return (
    leaf !== undefined &&
    isTrustedLeaf(leaf, issuer, now) &&
    remaining(leaf.certificate, now) >= renewAtPart &&
    dnsNames.every((name) => isFor(leaf.certificate, name))
  )
}

function isFor(leaf: X509Certificate, name: string): boolean {
  return (isIP(name) === 0 ? leaf.checkHost(name, { subject: 'never' }) : leaf.checkIP(name)) !== undefined
}

function isTrustedLeaf(leaf: ReadSet['leaf'], issuer: X509Certificate, now: Date): boolean {
  return leaf !== undefined && isValid(leaf.certificate, now) && isIssuedBy(leaf.certificate, issuer)
}

function isIssuedBy(leaf: X509Certificate, authority: X509Certificate): boolean {
  return leaf.checkIssued(authority) && leaf.verify(authority.publicKey)
}

function isAlive(certificate: X509Certificate, now: Date): boolean {
  return now < certificate.validToDate
}

function isValid(certificate: X509Certificate, now: Date): boolean {
  return certificate.validFromDate <= now && isAlive(certificate, now)
}

/** The part of its life that is left: 1 when new, 0 or less when over. */
function remaining(certificate: X509Certificate, now: Date): number {
  const to = certificate.validToDate.getTime()
  const lifeMs = to - certificate.validFromDate.getTime()
  // Its first hour was over when it was made.
  return (to - now.getTime()) / (lifeMs > backdateMs ? lifeMs - backdateMs : lifeMs)
}
