/** The guest's system: kernel, initial RAM disk and root file system, made once and kept in the cache. */
import { copyFileSync, mkdirSync, readFileSync, readdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { cacheDir, cached, hashOf } from '../../scripts/cache.ts'
import { must } from '../../scripts/command.ts'
import { baseSuite, debianRootfs } from '../../scripts/rootfs.ts'
import { busyboxImage } from '../images/busybox.ts'
import { pythonImage } from '../images/debian.ts'
import { lastingLayers } from '../images/reprieve.ts'

export type GuestSystem = { kernel: string; initialRamDisk: string; disk: string }

/** Where the guest has what the machine has in its cache, and the repository. */
export const guestCache = 'var/cache/reprieve'
export const guestRepository = 'repository'

const root = join(import.meta.dirname, '../..')
const initScript = join(import.meta.dirname, 'guest/init.sh')
const kernelScript = join(import.meta.dirname, 'guest/kernel.sh')
const diskBytes = 16 * 2 ** 30 // sparse: what the tests write lies in a throw-away file that grows as they do

/** What scripts/setup.sh installs for the pod harness, its programs and disks on a machine, under the suite's names. */
const packages = [
  'runc', 'iproute2', 'kmod', 'busybox-static', 'make', 'gcc', 'libc6-dev', 'musl-tools', 'linux-libc-dev', 'e2fsprogs',
  'golang-github-containers-common', 'docker-registry',
  // For test/nfs: the kernel's own NFS server and client need programs beside them.
  'nfs-kernel-server', 'nfs-common',
] // prettier-ignore

/** Packages that check and format: large, and of no use in the guest. */
const leftOut = new Set(['typescript', '@typescript', 'prettier', 'oxlint', '@oxlint'])

export async function guestSystem(): Promise<GuestSystem> {
  if (process.arch !== 'x64')
    throw new Error(`the virtual machine is for x86-64, and this is ${process.arch}`)
  const rootfs = await debianRootfs('vm', baseSuite, packages, kernelScript)
  const layers = await layersOfImages()
  const recipe = hashOf(
    'vm 1',
    rootfs,
    ...layers,
    readFileSync(join(root, 'package-lock.json')),
    readFileSync(initScript),
    [...leftOut].join(' '),
    String(diskBytes),
  )
  const folder = await cached('vm', 'system', recipe, async (draft) => {
    const [version = ''] = readdirSync(join(rootfs, 'usr/lib/modules'))
    copyFileSync(join(rootfs, `boot/vmlinuz-${version}`), join(draft, 'vmlinuz'))
    await makeInitialRamDisk(draft, join(rootfs, 'usr/lib/modules', version))
    await makeDisk(draft, rootfs, layers)
  })
  return {
    kernel: join(folder, 'vmlinuz'),
    initialRamDisk: join(folder, 'initrd'),
    disk: join(folder, 'system.ext4'),
  }
}

/** The layers of the tests' images, but for the one that changes with every line of the program. */
async function layersOfImages(): Promise<string[]> {
  const [own, busybox, python] = await Promise.all([lastingLayers(), busyboxImage(), pythonImage()])
  return [...own, ...busybox.layers, ...python.layers]
}

async function makeInitialRamDisk(draft: string, modules: string): Promise<void> {
  const folder = join(draft, 'initrd-files')
  for (const name of ['bin', 'dev', 'root']) mkdirSync(join(folder, name), { recursive: true })
  copyFileSync('/bin/busybox', join(folder, 'bin/busybox'))
  writeFileSync(join(folder, 'init'), readFileSync(initScript), { mode: 0o755 })
  const pack = `busybox xzcat "$1/kernel/drivers/block/virtio_blk.ko.xz" >virtio_blk.ko && find . | busybox cpio -o -H newc >"$2"`
  await must(['sh', '-c', `cd "$0" && ${pack}`, folder, modules, join(draft, 'initrd')])
  await must(['rm', '-r', folder])
}

/** Without mounts: mke2fs takes a folder's files. The folder is made of hard links, so that nothing is copied twice. */
async function makeDisk(draft: string, rootfs: string, layers: string[]): Promise<void> {
  const tree = join(draft, 'tree')
  const link = ['cp', '--archive', '--link']
  const deadline = { deadlineMs: 300_000 }
  await must([...link, rootfs, tree], deadline)
  for (const layer of layers) {
    const parent = join(tree, guestCache, relative(cacheDir, join(layer, '..')))
    mkdirSync(parent, { recursive: true })
    await must([...link, layer, parent], deadline)
  }
  const modules = join(tree, guestRepository, 'node_modules')
  mkdirSync(modules, { recursive: true })
  const wanted = readdirSync(join(root, 'node_modules')).filter((name) => !leftOut.has(name))
  await must(
    ['cp', '--archive', ...wanted.map((name) => join(root, 'node_modules', name)), modules],
    deadline,
  )
  const disk = join(draft, 'system.ext4')
  writeFileSync(disk, '')
  truncateSync(disk, diskBytes)
  await must(
    ['mke2fs', '-q', '-F', '-t', 'ext4', '-m', '0', '-O', '^has_journal', '-d', tree, disk],
    deadline,
  )
  await must(['rm', '-rf', tree], deadline)
}
