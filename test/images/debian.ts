/** Images that a data scientist would use, from Debian's packages. */
import { debianRootfs } from '../../scripts/rootfs.ts'
import type { Image } from '../harness/image.ts'

const config = {
  env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
  cmd: ['python3'],
}

/** Python with numpy, on an older libc than Reprieve's own image has. */
export async function pythonImage(): Promise<Image> {
  const rootfs = await debianRootfs('python', 'bookworm', ['python3-minimal', 'python3-numpy'])
  return { layers: [rootfs], config }
}

/** PyTorch. More than a gigabyte: made only where it is asked for. */
export async function torchImage(): Promise<Image> {
  const rootfs = await debianRootfs('torch', 'trixie', ['python3-torch'])
  return { layers: [rootfs], config }
}

/** Programs that keep files on volumes: SQLite, LMDB, LevelDB and Git. */
export async function databaseImage(): Promise<Image> {
  const packages = ['python3-minimal', 'python3-lmdb', 'python3-plyvel', 'git']
  return { layers: [await debianRootfs('databases', 'bookworm', packages)], config }
}

/** The programs of test/e2e/programs. */
export async function realProgramsImage(name: string, packages: string[]): Promise<Image> {
  return { layers: [await debianRootfs(`programs-${name}`, 'bookworm', packages)], config }
}
