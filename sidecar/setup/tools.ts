/**
 * The programs that run inside the mount namespace of the application. They are in the shared volume and are started through their own
 * dynamic linker, so that the image of the application needs neither them nor a libc.
 */
import { createHash } from 'node:crypto'
import { chmod, copyFile, mkdir, readFile, readdir, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { exists } from '../../src/exists.ts'
import { volumePaths } from '../../src/volume.ts'

/** The folder of the tools in the image of the sidecar. */
export const imageTools = '/usr/local/lib/reprieve'

/** The argv that starts a bundled program wherever the shared volume is mounted. */
export function toolArgv(name: 'criu' | 'tar' | 'find', ...args: string[]): string[] {
  return [volumePaths.loader, '--library-path', volumePaths.lib, `${volumePaths.bin}/${name}`, ...args]
}

/** The argv that runs a command inside the mount, IPC and UTS namespaces of a process of the pod. */
export function enterArgv(pid: number, ...argv: string[]): string[] {
  return [volumePaths.launcher, 'enter', `--pid=${pid}`, '--', ...argv]
}

/** The same inside its cgroups as well: the kernel charges the memory of the command to that container, not to the sidecar. */
export function enterChargedArgv(pid: number, ...argv: string[]): string[] {
  return [volumePaths.launcher, 'enter', `--pid=${pid}`, '--cgroup', '--', ...argv]
}

export async function launcherHash(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex')
    .slice(0, 12)
}

/**
 * Copies launcher, tools and libraries from the image to the shared volume. Each file appears whole or not at all, so that the call can
 * be repeated after a kill at any instant. A file that exists already is left alone, since it may be mapped. Missing tools are returned,
 * not thrown: without CRIU the pod still runs, unprotected.
 */
export async function installTools(from = imageTools): Promise<{ launcher: string; missing: string[] }> {
  for (const dir of [volumePaths.bin, volumePaths.lib, volumePaths.run, volumePaths.staging])
    await mkdir(dir, { recursive: true, mode: 0o755 })
  await chmod(volumePaths.staging, 0o700)
  const hash = await launcherHash(join(from, 'launcher'))
  const launcher = `${volumePaths.bin}/launcher-${hash}`
  await installFile(join(from, 'launcher'), launcher)
  for (const name of ['launcher', 'criu-hook'])
    await pointLink(`launcher-${hash}`, `${volumePaths.bin}/${name}`)
  const missing: string[] = []
  for (const kind of ['lib', 'bin'] as const) {
    const names = await readdir(join(from, 'tools', kind)).catch(() => [])
    for (const name of names)
      await installFile(join(from, 'tools', kind, name), join(volumePaths[kind], name))
  }
  for (const file of [
    volumePaths.loader,
    ...['criu', 'tar', 'find'].map((name) => `${volumePaths.bin}/${name}`),
  ])
    if (!(await exists(file))) missing.push(file)
  return { launcher: hash, missing }
}

/** Installs a launcher of another version, which the processes of a checkpoint map, under its own name. */
export async function installLauncher(from: string, hash: string): Promise<void> {
  await installFile(from, `${volumePaths.bin}/launcher-${hash}`)
}

async function installFile(from: string, to: string): Promise<void> {
  if (await exists(to)) return
  const draft = `${to}.installing-${process.pid}`
  await copyFile(from, draft)
  await chmod(draft, 0o755)
  await rename(draft, to)
}

async function pointLink(target: string, link: string): Promise<void> {
  const draft = `${link}.installing-${process.pid}`
  await rm(draft, { force: true })
  await symlink(target, draft)
  await rename(draft, link)
}
