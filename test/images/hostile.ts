/** An image that lays its own code in every place from which a program run among its files might take some. */
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { cached, hashOf } from '../../scripts/cache.ts'
import type { Image } from '../harness/image.ts'
import { compile } from '../harness/native.ts'
import { busyboxImage } from './busybox.ts'

const library = join(import.meta.dirname, '../programs/intruder.c')
const script = '#!/bin/sh\necho "$0" >> /intruded\n'
const files: Record<string, string> = {
  'etc/ld.so.preload': '/usr/lib/criu/intruder.so\n',
  'etc/criu/default.conf': 'action-script /action\n',
  action: script,
  // CRIU asks these what the kernel can do.
  'bin/iptables': script,
  'bin/ip6tables': script,
}

/** @param source a C file; the program is static, `/<name>`; whatever intrudes leaves a line in /intruded */
export async function hostileImage(source: string): Promise<Image> {
  const program = await compile(source)
  const intruder = await compile(library, ['-shared', '-fPIC', '-nostdlib'])
  const recipe = hashOf('hostile 1', readFileSync(program), readFileSync(intruder), JSON.stringify(files))
  const layer = await cached('rootfs', 'hostile', recipe, async (folder) => {
    mkdirSync(join(folder, 'usr/lib/criu'), { recursive: true })
    copyFileSync(intruder, join(folder, 'usr/lib/criu/intruder.so'))
    copyFileSync(program, join(folder, basename(program)))
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(join(folder, dirname(name)), { recursive: true })
      writeFileSync(join(folder, name), text)
      chmodSync(join(folder, name), 0o755)
    }
  })
  const base = await busyboxImage()
  return { layers: [...base.layers, layer], config: base.config }
}
