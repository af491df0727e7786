/** A musl image, as Alpine's are: a dynamically linked program and musl's own linker, with busybox for a shell. */
import { chmodSync, copyFileSync, mkdirSync, readFileSync, realpathSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { cached, hashOf } from '../../scripts/cache.ts'
import { must } from '../../scripts/command.ts'
import type { Image } from '../harness/image.ts'
import { compile } from '../harness/native.ts'
import { busyboxImage } from './busybox.ts'

const machine = process.arch === 'x64' ? 'x86_64' : 'aarch64'
/** Debian's package `musl`: the C library is the dynamic linker, too. */
const library = `/lib/${machine}-linux-musl/libc.so`

/** @param source a C file; the program is its entrypoint, `/bin/<name>` */
export async function muslImage(source: string): Promise<Image> {
  const program = await compile(source, [])
  const name = basename(program)
  const recipe = hashOf('musl 1', readFileSync(program), readFileSync(library))
  const layer = await cached('rootfs', `musl-${name}`, recipe, async (folder) => {
    const linker = /interpreter: (\S+)\]/.exec(await must(['readelf', '--program-headers', program]))?.[1]
    if (linker === undefined) throw new Error(`${program} is not linked dynamically`)
    for (const below of ['bin', 'lib']) mkdirSync(join(folder, below), { recursive: true })
    copyFileSync(program, join(folder, 'bin', name))
    copyFileSync(realpathSync(library), join(folder, 'lib/libc.musl.so'))
    chmodSync(join(folder, 'bin', name), 0o755)
    chmodSync(join(folder, 'lib/libc.musl.so'), 0o755)
    symlinkSync('libc.musl.so', join(folder, linker))
  })
  const { layers, config } = await busyboxImage()
  return { layers: [...layers, layer], config: { ...config, entrypoint: [`/bin/${name}`], cmd: [] } }
}
