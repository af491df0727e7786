/**
 * QEMU out of the same Debian as the guest, whatever this machine runs. Under Debian 12's (7.2) with two processors the guest's kernel
 * was seen to die of a breakpoint that another processor had just patched away ("Oops: int3"), and forks took four times as long.
 */
import { copyFileSync, cpSync, mkdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { cached, hashOf } from '../../scripts/cache.ts'
import { must } from '../../scripts/command.ts'
import { baseSuite, installInto } from '../../scripts/rootfs.ts'

export type Emulator = { argv: string[]; environment: Record<string, string> }

/** Started by its own linker and with its own libraries and firmware, as CRIU is among an application's files. */
export async function qemu(): Promise<Emulator> {
  const recipe = hashOf('qemu 1', baseSuite, readFileSync(import.meta.filename))
  const folder = await cached('vm', 'qemu', recipe, async (draft) => {
    const rootfs = join(draft, 'rootfs')
    mkdirSync(rootfs)
    await installInto(rootfs, baseSuite, ['qemu-system-x86'])
    await collect(rootfs, draft)
    await must(['rm', '-rf', '--one-file-system', rootfs], { deadlineMs: 120_000 })
  })
  return {
    argv: [
      join(folder, 'ld.so'), '--library-path', join(folder, 'lib'), join(folder, 'qemu-system-x86_64'),
      '-L', join(folder, 'firmware'),
    ],
    environment: { QEMU_MODULE_DIR: join(folder, 'modules') }, // there is none: what we use is in the program itself
  } // prettier-ignore
}

async function collect(rootfs: string, folder: string): Promise<void> {
  const program = '/usr/bin/qemu-system-x86_64'
  mkdirSync(join(folder, 'lib'))
  copyFileSync(join(rootfs, program), join(folder, basename(program)))
  // "libfoo.so.1 => /lib/.../libfoo.so.1 (0x...)", and the linker itself without an arrow.
  for (const line of (await must(['chroot', rootfs, 'ldd', program])).split('\n')) {
    const [, name = '', path] = /^\s*(\S+)(?: => (\/\S+))? \(0x/.exec(line) ?? []
    if (path !== undefined) copyFileSync(join(rootfs, path), join(folder, 'lib', name))
    else if (name.startsWith('/')) copyFileSync(join(rootfs, name), join(folder, 'ld.so'))
  }
  for (const from of ['usr/share/qemu', 'usr/share/seabios'])
    cpSync(join(rootfs, from), join(folder, 'firmware'), { recursive: true, dereference: true })
}
