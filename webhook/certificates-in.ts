import { readFile } from 'node:fs/promises'
import { ReprieveError } from '../src/errors.ts'

/**
 * The PEM certificates of a file that the configuration names.
 * @param key of the configuration @throws ReprieveError `config-invalid` if there are none
 */
export async function certificatesIn(file: string, key: string): Promise<string[]> {
  const data = { file }
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new ReprieveError('config-invalid', `cannot read ${key} ${file}`, data, error)
  })
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
  if (found === null) throw new ReprieveError('config-invalid', `${key} ${file} has no certificate`, data)
  return found
}
