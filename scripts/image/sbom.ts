/**
 * Writes what an image is made of as a CycloneDX 1.6 document, to usr/share/sbom/reprieve.cdx.json of the image's root folder:
 *
 *   node scripts/image/sbom.ts OUT PACKAGES...     (in the Dockerfile; PACKAGES are the lists of packages.sh)
 *
 * The same contents make the same document: it has no time.
 * https://cyclonedx.org/docs/1.6/json/
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { debianLicences } from './licences.ts'

export type Component = {
  type: 'library' | 'application'
  name: string
  version: string
  purl: string
  licenses: { expression: string }[]
  hashes?: { alg: string; content: string }[]
  externalReferences?: { type: string; url: string }[]
}

type Lock = { packages: Record<string, { version?: string; integrity?: string; license?: string }> }

/** @param list the lines of packages.sh */
export function debianComponents(list: string): Component[] {
  return list
    .trim()
    .split('\n')
    .map((line) => {
      const [name = '', version = '', architecture = '', source = '', sourceVersion = ''] = line.split(' ')
      const licence = debianLicences[source]
      if (licence === undefined) throw new Error(`scripts/image/licences.ts does not know ${source}`)
      return {
        type: 'library',
        name,
        version,
        purl: `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${architecture}`,
        licenses: [{ expression: licence }],
        externalReferences: [
          {
            type: 'source-distribution',
            url: `https://snapshot.debian.org/package/${source}/${sourceVersion}/`,
          },
        ],
      }
    })
}

/** @param paths such as `node_modules/@scope/name` */
export function npmComponents(lock: Lock, paths: readonly string[]): Component[] {
  return paths.map((path) => {
    const { version = '', integrity = '', license } = lock.packages[path] ?? {}
    const name = path.replace(/^node_modules\//, '')
    if (license === undefined) throw new Error(`package-lock.json has no licence of ${name}`)
    const content = Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex')
    return {
      type: 'library',
      name,
      version,
      purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
      licenses: [{ expression: license }],
      hashes: [{ alg: 'SHA-512', content }],
    }
  })
}

export function sbomOf(name: string, version: string, components: readonly Component[]): object {
  const sorted = [...components].sort((one, other) => (one.purl < other.purl ? -1 : 1))
  const parts = sorted.filter(({ purl }, index) => purl !== sorted[index - 1]?.purl)
  const digest = createHash('sha256')
    .update(JSON.stringify([name, version, parts]))
    .digest('hex')
  const uuid = `${digest.slice(0, 8)}-${digest.slice(8, 12)}-5${digest.slice(13, 16)}-8${digest.slice(17, 20)}-${digest.slice(20, 32)}`
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuid}`,
    version: 1,
    metadata: { component: { type: 'container', name, version, licenses: [{ expression: 'Apache-2.0' }] } },
    components: parts,
  }
}

/** The packages that lie in a folder `node_modules`. */
function modulesIn(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .flatMap((name) =>
      name.startsWith('@') ? readdirSync(join(folder, name)).map((inner) => `${name}/${inner}`) : [name],
    )
    .map((name) => `node_modules/${name}`)
}

if (import.meta.main) {
  const [out, ...lists] = process.argv.slice(2)
  if (out === undefined) throw new Error('usage: sbom.ts OUT PACKAGES...')
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as Lock
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  const node = `node_modules/node-linux-${process.arch}`
  const components = [
    ...lists.flatMap((list) => debianComponents(readFileSync(list, 'utf8'))),
    ...npmComponents(lock, [...modulesIn(join(out, 'opt/reprieve/node_modules')), node]),
  ]
  const folder = join(out, 'usr/share/sbom')
  mkdirSync(folder, { recursive: true })
  const name = out.endsWith('control-plane') ? 'reprieve-control-plane' : 'reprieve'
  const document = sbomOf(name, version, components)
  writeFileSync(join(folder, 'reprieve.cdx.json'), `${JSON.stringify(document, null, 2)}\n`)
}
