/** The certificates as files in a folder, where they are made locally: the serving pair of a webhook, and the key of the CA. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileNames, type CertificateSet } from './certificate-set.ts'

const fields = Object.entries(fileNames) as [keyof CertificateSet, string][]

/** Undefined if there is none of the files; a missing one among them is empty. */
export async function readCertificateFiles(folder: string): Promise<CertificateSet | undefined> {
  const read = await Promise.all(
    fields.map(async ([field, name]) => [field, await readIfThere(join(folder, name))] as const),
  )
  if (read.every(([, text]) => text === undefined)) return undefined
  return Object.fromEntries(read.map(([field, text]) => [field, text ?? ''])) as CertificateSet
}

/** Each by write and rename. A webhook that reads between two of them finds a pair that does not match, and reads again. */
export async function writeCertificateFiles(folder: string, files: CertificateSet): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const [field, name] of fields) {
    const path = join(folder, name)
    await writeFile(`${path}.new`, files[field], { mode: name.endsWith('.key') ? 0o600 : 0o644 })
    await rename(`${path}.new`, path)
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
