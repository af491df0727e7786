/**
 * What becomes of a set of certificates as time goes by. Pure but for new keys' randomness. A new CA comes in two steps:
 * first it only joins the bundle that API servers trust, and only a later pass issues a leaf from it, so that no
 * replica ever serves a leaf that somebody does not trust yet. An old CA stays in the bundle until it expires.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { makeAuthority, makeLeaf } from './authority.ts'

/** PEM texts, as they stand in the Secret. */
export type CertificateSet = {
  /** The CAs to trust, newest first. */
  caBundle: string
  /** The key of the newest CA. */
  caKey: string
  cert: string
  key: string
}

export type RenewalTerms = {
  dnsNames: readonly string[]
  now: Date
  caDays: number
  leafDays: number
}

export type Renewal = { set: CertificateSet; changed: ('authority' | 'leaf' | 'bundle')[] }

/** Renewed when less than this part of its life is left. */
const renewAtPart = 1 / 3
const authorityName = 'reprieve'

/** @param current undefined, or unreadable in any part: everything is made anew */
export function renew(current: CertificateSet | undefined, terms: RenewalTerms): Renewal {
  const readable = current !== undefined && isReadable(current) ? current : undefined
  if (readable === undefined) return makeAll(terms)
  const authorities = certificatesIn(readable.caBundle)
  const newest = authorities[0]
  if (newest === undefined || remaining(newest, terms.now) <= 0) return makeAll(terms)

  if (remaining(newest, terms.now) < renewAtPart) {
    const authority = makeAuthority(authorityName, { from: terms.now, days: terms.caDays })
    const caBundle = [authority.cert, ...alive(authorities, terms.now)].join('')
    // The leaf is still the old CA's: it changes in a later pass.
    return { set: { ...readable, caBundle, caKey: authority.key }, changed: ['authority', 'bundle'] }
  }
  const changed: Renewal['changed'] = []
  let set = readable
  const caBundle = alive(authorities, terms.now).join('')
  if (caBundle !== authorities.map(pem).join('')) {
    set = { ...set, caBundle }
    changed.push('bundle')
  }
  if (!isGoodLeaf(set, newest, terms)) {
    const authority = { cert: newest.toString(), key: set.caKey }
    set = { ...set, ...makeLeaf(authority, terms.dnsNames, { from: terms.now, days: terms.leafDays }) }
    changed.push('leaf')
  }
  return { set, changed }
}

function makeAll(terms: RenewalTerms): Renewal {
  const authority = makeAuthority(authorityName, { from: terms.now, days: terms.caDays })
  const leaf = makeLeaf(authority, terms.dnsNames, { from: terms.now, days: terms.leafDays })
  return {
    set: { caBundle: authority.cert, caKey: authority.key, ...leaf },
    changed: ['authority', 'leaf', 'bundle'],
  }
}

function isGoodLeaf(
  { cert }: CertificateSet,
  newest: X509Certificate,
  { dnsNames, now }: RenewalTerms,
): boolean {
  const leaf = new X509Certificate(cert)
  return (
    remaining(leaf, now) >= renewAtPart &&
    leaf.verify(newest.publicKey) &&
    dnsNames.every((name) => (isIP(name) === 0 ? leaf.checkHost(name) : leaf.checkIP(name)) !== undefined)
  )
}

function isReadable({ caBundle, caKey, cert, key }: CertificateSet): boolean {
  try {
    const newest = certificatesIn(caBundle)[0]
    return newest !== undefined && fits(newest, caKey) && fits(new X509Certificate(cert), key)
  } catch {
    // Whatever cannot be parsed is as good as absent: it will be made anew.
    return false
  }
}

function fits(certificate: X509Certificate, key: string): boolean {
  return certificate.checkPrivateKey(createPrivateKey(key))
}

/** The part of its life that is left: 1 when new, 0 or less when over. */
function remaining(certificate: X509Certificate, now: Date): number {
  const from = certificate.validFromDate.getTime()
  const to = certificate.validToDate.getTime()
  return (to - now.getTime()) / (to - from)
}

function alive(authorities: X509Certificate[], now: Date): string[] {
  return authorities.filter((authority) => remaining(authority, now) > 0).map(pem)
}

function pem(certificate: X509Certificate): string {
  return certificate.toString()
}

export function certificatesIn(bundle: string): X509Certificate[] {
  const blocks = bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? []
  return blocks.map((block) => new X509Certificate(block))
}
