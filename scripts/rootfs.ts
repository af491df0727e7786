/** Debian root filesystems, made by debootstrap and apt where no registry can be reached. */
import { copyFileSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cached } from './cache.ts'
import { must } from './command.ts'

const mirror = process.env.DEBIAN_MIRROR ?? 'http://deb.debian.org/debian'
const debootstrapDeadlineMs = 10 * 60_000
const installDeadlineMs = 15 * 60_000

/** What the image is built on. */
export const baseSuite = 'trixie'

/** The suite's smallest system, as docker.io/library/debian:<suite>-slim is, but for the documentation. */
export function plainRootfs(suite: string): Promise<string> {
  return cached('rootfs', `debian-${suite}`, `debian 3 ${suite}`, async (folder) => {
    await attempts(`Debian ${suite}`, async () => {
      // A fresh folder each time: debootstrap does not go on where it failed.
      const draft = join(folder, 'draft')
      await removeRootfs(draft)
      await must(['debootstrap', '--variant=minbase', suite, draft, mirror], {
        deadlineMs: debootstrapDeadlineMs,
      })
    })
    await tidy(join(folder, 'draft'))
    await must(['sh', '-c', 'chmod 755 "$1" && mv "$1"/draft/* "$1" && rmdir "$1/draft"', 'sh', folder])
  })
}

/**
 * A system with further packages and what they depend on, without what they merely recommend.
 * @param script one of the repository, run inside afterwards with the mirror as its argument
 */
export function debianRootfs(
  name: string,
  suite: string,
  packages: string[],
  script?: string,
): Promise<string> {
  const words = script === undefined ? '' : ` ${readFileSync(script, 'utf8')}`
  return cached('rootfs', name, `debian 3 ${suite} ${packages.join(' ')}${words}`, async (folder) => {
    await installInto(folder, suite, packages)
    if (script !== undefined) await runInside(folder, script)
    await tidy(folder)
  })
}

export function baseRootfs(): Promise<string> {
  return debianRootfs('base', baseSuite, ['ca-certificates'])
}

/** Fills an empty folder with the suite's system and the packages. */
export async function installInto(folder: string, suite: string, packages: string[]): Promise<void> {
  await must(['cp', '-a', `${await plainRootfs(suite)}/.`, folder], { deadlineMs: 300_000 })
  copyFileSync('/etc/resolv.conf', join(folder, 'etc/resolv.conf'))
  await attempts(`the packages ${packages.join(' ')} of ${suite}`, () =>
    must(
      // In a mount namespace of its own, so that no mount can be left behind, whatever happens.
      ['unshare', '--mount', '--pid', '--fork', 'sh', '-euc', installScript, 'sh', folder, ...packages],
      { deadlineMs: installDeadlineMs },
    ),
  )
  rmSync(join(folder, 'etc/resolv.conf'))
}

/** Runs a script of the repository inside a system of `baseSuite`, with the network, in an empty folder. */
export async function preparedByScript(folder: string, script: string): Promise<void> {
  await must(['cp', '-a', `${await plainRootfs(baseSuite)}/.`, folder], { deadlineMs: 300_000 })
  await runInside(folder, script)
}

async function runInside(folder: string, script: string): Promise<void> {
  copyFileSync('/etc/resolv.conf', join(folder, 'etc/resolv.conf'))
  copyFileSync(script, join(folder, 'script.sh'))
  await attempts(`what ${script} makes`, () =>
    must(['unshare', '--mount', '--pid', '--fork', 'sh', '-euc', insideScript, 'sh', folder, mirror], {
      deadlineMs: installDeadlineMs,
    }),
  )
}

const mounts = `
root=$1; shift
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
`

const insideScript = `${mounts}
chroot "$root" sh /script.sh "$@"
`

const installScript = `${mounts}
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
chroot "$root" apt-get -o Acquire::Retries=3 -qq update
chroot "$root" apt-get -o Acquire::Retries=3 -qq install --yes --no-install-recommends "$@"
`

/** @throws Error after three failures, with the last one's words as its cause */
async function attempts(what: string, make: () => Promise<unknown>): Promise<void> {
  process.stderr.write(`setup: making ${what} (once; it is kept in the cache)\n`)
  for (let attempt = 1; ; attempt++) {
    try {
      await make()
      return
    } catch (error) {
      if (attempt === 3)
        throw new Error(`could not make ${what} from ${mirror}: is it reachable?`, { cause: error })
      process.stderr.write(`setup: attempt ${attempt} of 3 failed: ${String(error).slice(-500)}\n`)
    }
  }
}

/** debootstrap may leave /proc mounted when it fails half-way: removing that as files would be a disaster. */
async function removeRootfs(folder: string): Promise<void> {
  for (const mounted of ['proc', 'sys', 'dev/pts', 'dev'])
    await must(['sh', '-c', '! mountpoint -q "$1" || umount -l "$1"', 'sh', join(folder, mounted)])
  await must(['rm', '-rf', '--one-file-system', folder], { deadlineMs: 120_000 })
}

async function tidy(folder: string): Promise<void> {
  const script = `cd "$1" && rm -rf var/cache/apt/archives/*.deb var/cache/apt/*.bin var/lib/apt/lists/* var/log/* usr/share/doc/* usr/share/man/*`
  await must(['sh', '-c', script, 'sh', folder], { deadlineMs: 120_000 })
}
