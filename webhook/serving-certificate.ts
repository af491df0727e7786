/** The leaf certificate on disk, and its reload when it changes: connections under way keep the one they have. */
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { describeError, ReprieveError } from '../src/errors.ts'
import type { EventLog } from '../src/log.ts'

/** PEM texts. */
export type CertificatePair = { cert: string; key: string }

export type CertificateFiles = { certFile: string; keyFile: string }

/** @throws ReprieveError `config-invalid` if the files are missing, unreadable, or not of each other */
export async function readCertificate({ certFile, keyFile }: CertificateFiles): Promise<CertificatePair> {
  try {
    const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')])
    if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
      throw new Error(`the key in ${keyFile} is not that of the certificate in ${certFile}`)
    return { cert, key }
  } catch (error) {
    const data = { certFile, keyFile }
    throw new ReprieveError('config-invalid', `cannot use the certificate in ${certFile}`, data, error)
  }
}

/** Waits for the files, which another container of the pod may still be making. */
export async function waitForCertificate(
  files: CertificateFiles,
  deadlineMs: number,
): Promise<CertificatePair> {
  const until = performance.now() + deadlineMs
  for (;;) {
    try {
      return await readCertificate(files)
    } catch (error) {
      if (performance.now() >= until)
        throw new ReprieveError(
          'deadline-passed',
          `no serving certificate within ${deadlineMs} ms`,
          {},
          error,
        )
    }
    await sleep(200)
  }
}

export type Reloading = {
  files: CertificateFiles
  current: CertificatePair
  /** Looked at by content: a mounted Secret changes through symbolic links, which file notification misses. */
  everyMs: number
  log: EventLog
  /** Why not to use a pair yet; undefined: use it. */
  whyNotYet: (pair: CertificatePair) => Promise<string | undefined>
  use: (pair: CertificatePair) => void
  signal: AbortSignal
}

/** Ends when the signal aborts. A pair that does not fit together (half written) is left until it does. */
export async function reloadCertificate({
  files,
  current,
  everyMs,
  log,
  whyNotYet,
  use,
  signal,
}: Reloading): Promise<void> {
  let { cert, key } = current
  let told = ''
  const keep = (error: string) => {
    if (error !== told)
      log.warn({ event: 'certificate.reload_deferred', error }, 'kept the old serving certificate')
    told = error
  }
  while (await passed(everyMs, signal)) {
    try {
      const next = await readCertificate(files)
      if (next.cert === cert && next.key === key) continue
      const why = await whyNotYet(next)
      if (why !== undefined) {
        keep(why)
        continue
      }
      use(next)
      cert = next.cert
      key = next.key
      told = ''
      const { validTo } = new X509Certificate(cert)
      log.info({ event: 'certificate.reloaded', validTo }, 'reloaded the serving certificate')
    } catch (error) {
      keep(describeError(error))
    }
  }
}

export async function passed(ms: number, signal: AbortSignal): Promise<boolean> {
  return sleep(ms, true, { signal, ref: false }).catch(() => false)
}
