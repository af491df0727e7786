/** A small image with a shell: Debian's static busybox with a link for every applet. */
import { chmodSync, copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { must } from '../../scripts/command.ts'
import type { Image } from '../harness/image.ts'
import { cached } from '../../scripts/cache.ts'

const program = '/bin/busybox'

export async function busyboxImage(): Promise<Image> {
  const digest = createHash('sha256').update(readFileSync(program)).digest('hex')
  const rootfs = await cached('rootfs', 'busybox', `busybox 1 ${digest}`, async (folder) => {
    for (const name of ['bin', 'etc', 'home', 'root', 'tmp', 'var']) mkdirSync(join(folder, name))
    chmodSync(join(folder, 'tmp'), 0o1777)
    copyFileSync(program, join(folder, 'bin/busybox'))
    const applets = (await must([program, '--list'])).split('\n').filter((name) => name && name !== 'busybox')
    for (const applet of applets) symlinkSync('busybox', join(folder, 'bin', applet))
    writeFileSync(
      join(folder, 'etc/passwd'),
      'root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1000::/home:/bin/sh\n',
    )
    writeFileSync(join(folder, 'etc/group'), 'root:x:0:\nworker:x:1000:\ntools:x:2000:worker\n')
  })
  return { layers: [rootfs], config: { cmd: ['sh'], env: ['PATH=/bin'] } }
}
