/**
 * Certificates, made and nothing else: a CA of our own and serving leaves that it signs. Pure but for the keys'
 * randomness. node-forge only encodes; OpenSSL makes the keys, signs and verifies (node:crypto).
 */
import { createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'
import forge from 'node-forge'

/** PEM texts. */
export type KeyedCertificate = { cert: string; key: string }

/**
 * @property days may be broken: tests and drills rotate within seconds
 * @property keyBits 2048 unless it is given: tests that make a thousand keys and serve none make small ones
 */
export type Validity = { from: Date; days: number; keyBits?: number | undefined }

export const dayMs = 86_400_000
/** Clocks of API servers may be behind ours. */
export const backdateMs = 3_600_000

export function makeAuthority(commonName: string, validity: Validity): KeyedCertificate {
  const subject = [{ name: 'commonName', value: commonName }]
  return issue({
    subject,
    issuer: subject,
    validity,
    extensions: (certificate) => [
      { name: 'basicConstraints', cA: true, pathLenConstraint: 0, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
      { name: 'subjectKeyIdentifier', subjectKeyIdentifier: keyIdentifier(certificate) },
    ],
  })
}

/**
 * It never outlives its authority: no client trusts a leaf of an expired one.
 * @param dnsNames at least one; the first is the common name
 */
export function makeLeaf(
  authority: KeyedCertificate,
  dnsNames: readonly string[],
  validity: Validity,
): KeyedCertificate {
  const authorityCertificate = forge.pki.certificateFromPem(authority.cert)
  return issue({
    // A common name is at most 64 characters (RFC 5280, appendix A.1); the names that count are the alternative ones.
    subject: [{ name: 'commonName', value: (dnsNames[0] ?? '').slice(0, 64) }],
    issuer: authorityCertificate.subject.attributes,
    signingKey: authority.key,
    validity,
    notAfter: authorityCertificate.validity.notAfter,
    extensions: (certificate) => [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: dnsNames.map(alternativeName) },
      { name: 'subjectKeyIdentifier', subjectKeyIdentifier: keyIdentifier(certificate) },
      {
        name: 'authorityKeyIdentifier',
        keyIdentifier: authorityCertificate.generateSubjectKeyIdentifier().getBytes(),
      },
    ],
  })
}

type Issue = {
  subject: forge.pki.CertificateField[]
  issuer: forge.pki.CertificateField[]
  /** PEM; without it the certificate signs itself. */
  signingKey?: string
  validity: Validity
  /** At the latest. */
  notAfter?: Date
  extensions: (certificate: forge.pki.Certificate) => object[]
}

function issue({ subject, issuer, signingKey, validity, notAfter, extensions }: Issue): KeyedCertificate {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: validity.keyBits ?? 2048 })
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }).toString()
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey)
  certificate.serialNumber = serialNumber()
  certificate.validity.notBefore = new Date(validity.from.getTime() - backdateMs)
  certificate.validity.notAfter = new Date(
    Math.min(validity.from.getTime() + validity.days * dayMs, notAfter?.getTime() ?? Infinity),
  )
  certificate.setSubject(subject)
  certificate.setIssuer(issuer)
  certificate.setExtensions(extensions(certificate))
  // forge's own generator and signatures are written in JavaScript: slow, and not constant in time.
  const signer = signingKey ?? key
  const sign = () => signatureOf(certificate, signer)
  certificate.sign(Object.assign(forge.pki.privateKeyFromPem(signer), { sign }), forge.md.sha256.create())
  return { cert: forge.pki.certificateToPem(certificate).replaceAll('\r\n', '\n'), key }
}

/** Of what forge has encoded, and is about to sign. Binary, as forge keeps bytes. */
function signatureOf({ tbsCertificate }: forge.pki.Certificate, key: string): string {
  const encoded = Buffer.from(forge.asn1.toDer(tbsCertificate).getBytes(), 'latin1')
  return sign('sha256', encoded, key).toString('latin1')
}

/** Positive and of 16 bytes, as DER wants a whole number (RFC 5280, 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16)
  bytes[0] = (0x3f & (bytes[0] ?? 0)) | 0x40
  return bytes.toString('hex')
}

function keyIdentifier(certificate: forge.pki.Certificate): string {
  return certificate.generateSubjectKeyIdentifier().toHex()
}

/** By GeneralName's tags (RFC 5280, 4.2.1.6): 7 for an address, 2 for a DNS name. */
function alternativeName(name: string): object {
  return isIP(name) !== 0 ? { type: 7, ip: name } : { type: 2, value: name }
}
