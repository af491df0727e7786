/**
 * The content of the Secret, and how it is read. Where it was edited, cut or restored, the parts that are whole
 * are used and the others count as absent. Read with node:crypto only.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'

/** Texts, as they stand in the Secret or in files of the same names. */
export type CertificateSet = {
  /** PEM: the CAs to trust, the one that issues first. */
  caBundle: string
  /** PEM: the key of the CA that issues. */
  caKey: string
  /** PEM; empty while no leaf may be served yet. */
  cert: string
  key: string
  /** JSON: until when a leaf of each CA may be in service, by the CA's fingerprint. */
  leaves: string
}

export const fileNames = {
  caBundle: 'ca.crt',
  caKey: 'ca.key',
  cert: 'tls.crt',
  key: 'tls.key',
  leaves: 'leaves.json',
} as const satisfies Record<keyof CertificateSet, string>

export type ReadSet = {
  authorities: X509Certificate[]
  issuer: { certificate: X509Certificate; key: string } | undefined
  leaf: { certificate: X509Certificate; cert: string; key: string } | undefined
  leavesUntil: ReadonlyMap<string, Date>
}

export function readSet(set: CertificateSet | undefined): ReadSet {
  const authorities = certificatesIn(set?.caBundle ?? '')
  const issuer = authorities.find((authority) => authority.ca && fits(authority, set?.caKey ?? ''))
  const leaf = certificatesIn(set?.cert ?? '')[0]
  return {
    authorities,
    issuer: issuer && { certificate: issuer, key: set?.caKey ?? '' },
    leaf:
      leaf !== undefined && fits(leaf, set?.key ?? '')
        ? { certificate: leaf, cert: set?.cert ?? '', key: set?.key ?? '' }
        : undefined,
    leavesUntil: readLedger(set?.leaves ?? ''),
  }
}

export function writeLedger(leavesUntil: ReadonlyMap<string, Date>): string {
  return JSON.stringify(
    Object.fromEntries([...leavesUntil].map(([authority, until]) => [authority, until.toISOString()])),
  )
}

/** Each once, in order. Blocks that are no certificates are passed over, as the API server's own reader does. */
export function certificatesIn(bundle: string): X509Certificate[] {
  const blocks = bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  const found = new Map<string, X509Certificate>()
  for (const block of blocks) {
    const certificate = readCertificate(block)
    if (certificate !== undefined && !found.has(certificate.fingerprint256))
      found.set(certificate.fingerprint256, certificate)
  }
  return [...found.values()]
}

export function bundleOf(certificates: readonly X509Certificate[]): string {
  return certificates.map((certificate) => certificate.toString()).join('')
}

function readCertificate(block: string): X509Certificate | undefined {
  try {
    return new X509Certificate(block)
  } catch {
    return undefined
  }
}

function fits(certificate: X509Certificate, key: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key))
  } catch {
    return false
  }
}

function readLedger(text: string): Map<string, Date> {
  const ledger = new Map<string, Date>()
  let read: unknown
  try {
    read = JSON.parse(text)
  } catch {
    return ledger
  }
  if (typeof read !== 'object' || read === null) return ledger
  for (const [authority, value] of Object.entries(read)) {
    const until = new Date(typeof value === 'string' ? value : '')
    if (!Number.isNaN(until.getTime())) ledger.set(authority, until)
  }
  return ledger
}
