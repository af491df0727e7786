/** FROM scratch: an image that holds one static program and nothing else, not even a folder for temporary files. */
import { chmodSync, copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { cached, hashOf } from '../../scripts/cache.ts'
import type { Image } from '../harness/image.ts'
import { compile } from '../harness/native.ts'

/** @param source a C file; the program is its entrypoint, `/<name>` */
export async function staticOnlyImage(source: string): Promise<Image> {
  const program = await compile(source)
  const name = basename(program)
  const recipe = hashOf('static-only 1', readFileSync(program))
  const rootfs = await cached('rootfs', `static-${name}`, recipe, async (folder) => {
    mkdirSync(folder, { recursive: true })
    copyFileSync(program, join(folder, name))
    chmodSync(join(folder, name), 0o755)
  })
  return { layers: [rootfs], config: { entrypoint: [`/${name}`] } }
}
