/** Debian root filesystems by debootstrap, where no registry can be reached. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { cached } from './cache.ts'
import { must } from './command.ts'

const mirror = process.env.DEBIAN_MIRROR ?? 'http://deb.debian.org/debian'
const deadlineMs = 12 * 60_000

/** A minimal Debian with further packages (and what they depend on). Resolves to its folder in the cache. */
export function debianRootfs(name: string, suite: string, packages: string[] = []): Promise<string> {
  return cached('rootfs', name, `debian 2 ${suite} ${packages.join(' ')}`, (folder) =>
    debootstrap(folder, suite, packages),
  )
}

/** @throws Error after three attempts, with debootstrap's last words */
export async function debootstrap(folder: string, suite: string, packages: string[]): Promise<void> {
  const include = packages.length > 0 ? [`--include=${packages.join(',')}`] : []
  const argv = ['debootstrap', '--variant=minbase', ...include, suite, folder, mirror]
  process.stderr.write(
    `reprieve: making Debian ${suite} with ${packages.join(' ') || 'nothing else'} (once)\n`,
  )
  for (let attempt = 1; ; attempt++) {
    try {
      await must(argv, { deadlineMs })
      break
    } catch (error) {
      if (attempt === 3)
        throw new Error(`Debian ${suite} could not be made from ${mirror}: is it reachable?`, {
          cause: error,
        })
      // debootstrap leaves /proc and /sys mounted when it fails half-way: removing them would be a disaster.
      for (const mounted of ['proc', 'sys', 'dev/pts', 'dev'])
        await must(['sh', '-c', `! mountpoint -q "$1" || umount -l "$1"`, 'sh', join(folder, mounted)])
      for (const entry of ['debootstrap', 'var/lib/dpkg/lock'])
        rmSync(join(folder, entry), { recursive: true, force: true })
    }
  }
  await must([
    'rm',
    '-rf',
    join(folder, 'var/cache/apt/archives'),
    join(folder, 'var/lib/apt/lists'),
    join(folder, 'var/log'),
  ])
  await must([
    'mkdir',
    '-p',
    join(folder, 'var/log'),
    join(folder, 'var/cache/apt/archives/partial'),
    join(folder, 'var/lib/apt/lists/partial'),
  ])
}

export const baseSuite = 'trixie'

/** What the image is built on: the same as docker.io/library/debian:trixie-slim, but for the documentation. */
export function baseRootfs(): Promise<string> {
  return debianRootfs('base', baseSuite, ['ca-certificates'])
}
