/**
 * Whether an API server would take a certificate: a TLS handshake as one begins it, with its own rules where Node's are wider. It trusts the
 * caBundle and nothing else (without one, the public authorities), takes any certificate in there for an anchor, and looks for the
 * name among the alternative names only (crypto/x509 of Go ignores the common name).
 */
import { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { duplexPair, type Duplex } from 'node:stream'
import { connect, createSecureContext, TLSSocket, type ConnectionOptions } from 'node:tls'
import type { CertificatePair } from './serving-certificate.ts'

/** An entry of a webhook configuration: its PEM bundle, and the host that the API server connects to. */
export type Expectation = { caBundle: string; host: string }

// @deadline The webhook cannot verify the certificate it serves | The replica is not ready
const handshakeDeadlineMs = 5_000

/** @param where what is served there, or what would be served. Undefined if it is taken, else why it is not */
export async function whyNotTaken(
  where: { host: string; port: number } | { pair: CertificatePair },
  { caBundle, host }: Expectation,
): Promise<string | undefined> {
  let server: TLSSocket | undefined
  try {
    const [ours, theirs] = duplexPair()
    if ('pair' in where) server = serveOnce(ours, where.pair)
    await shakeHands({
      ...('pair' in where ? { socket: theirs } : where),
      ...(caBundle === '' ? {} : { ca: caBundle }),
      servername: host,
      allowPartialTrustChain: true,
      minVersion: 'TLSv1.2',
      checkServerIdentity: (_host, { raw }) =>
        new X509Certificate(raw).checkHost(host, { subject: 'never' }) === undefined
          ? new Error(`the certificate is not for ${host}`)
          : undefined,
    })
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    server?.destroy()
  }
}

function serveOnce(stream: Duplex, pair: CertificatePair): TLSSocket {
  // TLS runs over any duplex stream, which the types do not know.
  const server = new TLSSocket(stream as Socket, { isServer: true, secureContext: createSecureContext(pair) })
  // The client's own error names what it refuses.
  server.on('error', () => undefined)
  return server
}

async function shakeHands(options: ConnectionOptions): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const socket = connect(options)
  const timer = setTimeout(
    () => reject(new Error(`no handshake within ${handshakeDeadlineMs} ms`)),
    handshakeDeadlineMs,
  )
  socket.once('secureConnect', resolve)
  socket.on('error', reject)
  socket.once('close', () => reject(new Error('the connection was closed before the handshake')))
  try {
    await promise
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}
