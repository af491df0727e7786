/**
 * Reprieve's own image for the harness: the programs of both images of the Dockerfile, made by the same scripts, above a Debian, each layer
 * kept in the cache. A change to a TypeScript file or to the launcher remakes only the last, in about a second.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cached, hashOf, hashOfFiles } from '../../scripts/cache.ts'
import { must } from '../../scripts/command.ts'
import { copyModules } from '../../scripts/production-modules.ts'
import { baseRootfs, baseSuite, preparedByScript } from '../../scripts/rootfs.ts'
import type { Image } from '../harness/image.ts'

const root = join(import.meta.dirname, '../..')
const sources = ['src', 'webhook', 'sidecar', 'certs', 'agent']
const launcherFolder = 'launcher'

/**
 * REPRIEVE_IMAGE names an image that `make image` has built, to be run as it is instead: what a test shows of the layers
 * here can so be shown of the Dockerfile's result.
 */
export async function reprieveImage(): Promise<Image> {
  const built = process.env.REPRIEVE_IMAGE
  return {
    layers: built ? [await builtRootfs(built)] : [...(await lastingLayers()), await programLayer()],
    config: {
      env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      workingDir: '/opt/reprieve',
    },
  }
}

async function builtRootfs(name: string): Promise<string> {
  const script = join(root, 'scripts/build-image.sh')
  const digest = (await must([script, '--digest', name])).trim()
  return cached('rootfs', 'image', digest, async (folder) => {
    await must([script, '--rootfs', folder, name], { deadlineMs: 300_000 })
  })
}

/** All layers but the program's: what takes long, and does not depend on what is being worked on. */
export function lastingLayers(): Promise<string[]> {
  return Promise.all([baseRootfs(), toolsLayer(), nodeLayer()])
}

/** CRIU and its companions, collected in a Debian of their own that is thrown away afterwards. */
function toolsLayer(): Promise<string> {
  const script = readFileSync(join(root, 'scripts/collect-tools.sh'))
  const install = join(root, 'scripts/install-criu.sh')
  return cached('layers', 'tools', hashOf(baseSuite, readFileSync(install), script), async (folder) => {
    const builder = join(folder, 'builder')
    mkdirSync(builder)
    await preparedByScript(builder, install)
    writeFileSync(join(builder, 'collect-tools.sh'), script)
    await must(['chroot', builder, 'sh', '/collect-tools.sh', '/tools'])
    mkdirSync(join(folder, 'usr/local/lib/reprieve'), { recursive: true })
    await must(['mv', join(builder, 'tools'), join(folder, 'usr/local/lib/reprieve/tools')])
    await must(['rm', '-rf', builder])
  })
}

function nodeLayer(): Promise<string> {
  const recipe = hashOf('node 1', readFileSync(join(root, 'package-lock.json')), readFileSync(join(root, 'scripts/production-modules.ts'))) // prettier-ignore
  return cached('layers', 'node', recipe, async (folder) => {
    mkdirSync(join(folder, 'usr/local/bin'), { recursive: true })
    cpSync(join(root, `node_modules/node-linux-${process.arch}/bin/node`), join(folder, 'usr/local/bin/node'))
    copyModules(root, join(folder, 'opt/reprieve'))
  })
}

export async function programLayer(): Promise<string> {
  const present = sources.filter((folder) => existsSync(join(root, folder)))
  const recipe = hashOf('program 1', hashOfFiles(root, [...present, launcherFolder], (path) => /\.(ts|c|h)$|Makefile$/.test(path)), readFileSync(join(root, 'package.json'))) // prettier-ignore
  return cached('layers', 'program', recipe, async (folder) => {
    const strip = [
      'sh',
      '-c',
      'cd "$1" && shift && exec "$@"',
      'sh',
      root,
      process.execPath,
      'scripts/strip-types.ts',
    ]
    await must([...strip, join(folder, 'opt/reprieve'), ...present])
    cpSync(join(root, 'package.json'), join(folder, 'opt/reprieve/package.json'))
    mkdirSync(join(folder, 'usr/local/lib/reprieve'), { recursive: true })
    // In a folder of the layer's own: the working tree's build/ may be in other hands at this moment.
    cpSync(join(root, launcherFolder), join(folder, 'launcher-source/launcher'), { recursive: true })
    await must(['make', '-s', '-C', join(folder, 'launcher-source', launcherFolder)], { deadlineMs: 120_000 })
    cpSync(
      join(folder, 'launcher-source/build/launcher/launcher'),
      join(folder, 'usr/local/lib/reprieve/launcher'),
    )
    await must(['rm', '-rf', join(folder, 'launcher-source')])
  })
}

if (import.meta.main) {
  const start = performance.now()
  const image = await reprieveImage()
  process.stdout.write(`${JSON.stringify(image, null, 2)}\n${Math.round(performance.now() - start)} ms\n`)
}
