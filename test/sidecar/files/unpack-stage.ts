/** A container that files are unpacked into, and lives of a sidecar that does it. */
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { launcherPath } from '../../launcher/launcher.ts'
import { program } from '../stand-ins.ts'

/** A container's launcher in a mount namespace with a /reprieve of its own: ours, and stand-ins for the bundled tools. */
export async function container(t: Test) {
  mkdirSync('/reprieve', { recursive: true })
  const mounted = 'mount -t tmpfs none /reprieve && exec sleep 100'
  const { pid } = await program(t, ['unshare', '--mount', 'sh', '-c', mounted], (pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith('sleep'),
  )
  const volume = `/proc/${pid}/root/reprieve`
  bringTools(volume)
  return { pid, volume, checkpoint: join(volume, 'staging/app/id.fetched') }
}

/** Ours, and stand-ins for the bundled ones. */
export function bringTools(volume: string): void {
  for (const name of ['bin', 'lib', 'staging/app/id.fetched'])
    mkdirSync(join(volume, name), { recursive: true })
  copyFileSync(launcherPath, join(volume, 'bin/launcher'))
  writeFileSync(join(volume, 'lib/ld.so'), '#!/bin/sh\nshift 2\nexec "$@"\n')
  chmodSync(join(volume, 'lib/ld.so'), 0o755)
  for (const tool of ['tar', 'find']) symlinkSync(`/usr/bin/${tool}`, join(volume, 'bin', tool))
}

/** One life of a sidecar in the namespace of `where`; false where it failed. */
export function life(where: number, ...words: (string | number)[]): boolean {
  const argv = [process.execPath, join(import.meta.dirname, 'unpacking.ts'), ...words.map(String)]
  return spawnSync('nsenter', [`--mount=/proc/${where}/ns/mnt`, ...argv], { timeout: 30_000 }).status === 0
}
export const unpack = (pid: number) => life(pid, pid, 'unpack', '/reprieve/staging/app/id.fetched')

export const undo = (pid: number) => life(pid, pid, 'undo')
