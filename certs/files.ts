/** The certificates as files in a folder: what a webhook serves with, and, where it is made locally, the CA's key too. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CertificateSet } from './renewal.ts'

/** The keys of a Secret are the same names. */
export const fileNames = { caBundle: 'ca.crt', caKey: 'ca.key', cert: 'tls.crt', key: 'tls.key' } as const

export async function readCertificateFiles(folder: string): Promise<CertificateSet | undefined> {
  const read = (name: string) => readFile(join(folder, name), 'utf8')
  try {
    const [caBundle, caKey, cert, key] = await Promise.all([
      read(fileNames.caBundle),
      read(fileNames.caKey),
      read(fileNames.cert),
      read(fileNames.key),
    ])
    return { caBundle, caKey, cert, key }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** Each by write and rename; whoever reads between two sees a pair that does not fit, and looks again. */
export async function writeCertificateFiles(folder: string, files: Partial<CertificateSet>): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const [field, name] of Object.entries(fileNames) as [keyof CertificateSet, string][]) {
    const text = files[field]
    if (text === undefined) continue
    const path = join(folder, name)
    await writeFile(`${path}.new`, text, { mode: name.endsWith('.key') ? 0o600 : 0o644 })
    await rename(`${path}.new`, path)
  }
}
