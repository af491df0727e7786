/**
 * What of a checkpoint's images names the pod that it was made in is made to name this one, before CRIU reads them; and what would have CRIU
 * fail, or the program, is mended.
 */
import { statSync } from 'node:fs'
import { readFile, readlink } from 'node:fs/promises'
import type { EventLog } from '../../src/log.ts'
import { isDated, withTodaysFolder } from '../criu/cluster-paths.ts'
import { fileEntriesOf, rewriteFilesImage, withEntriesChanged } from '../criu/image-entries.ts'
import { podAddresses } from '../criu/kept-connections.ts'
import { restartCalls } from '../criu/interrupted-calls.ts'
import { newAddresses, strangeAddresses, withNewAddresses } from '../criu/pod-addresses.ts'
import { allowConnections } from '../criu/tcp-connections.ts'
import { parseMounts } from '../files/mounts.ts'
import { fitConnections } from './fit-connections.ts'
import { fitSockets } from './fit-sockets.ts'
import { fitTerminals } from './fit-terminals.ts'

/** Where the application is; the mount points of the volumes that it or others than the kubelet write. */
type Place = { pid: number; roots: readonly string[]; external: readonly string[] }

/** @throws Error where the image cannot be read or written */
export async function fitToPod(
  checkpoint: string,
  { pid: launcherPid, roots, external }: Place,
  log: EventLog,
): Promise<void> {
  const imagesFolder = `${checkpoint}/criu`
  await fitSockets(checkpoint)
  const folders = await todaysFolders(launcherPid, [...roots, ...external])
  const own = podAddresses()
  const changed = new Set<string>()
  await rewriteFilesImage(imagesFolder, (image) => {
    const addresses = newAddresses(strangeAddresses(fileEntriesOf(image), own), own)
    for (const [was, is] of addresses)
      log.info(
        { event: 'restore.address_changed', was, is },
        'the pod’s address was changed in the checkpoint',
      )
    return withEntriesChanged(
      image,
      (entry) =>
        withNewAddresses(entry, addresses) ??
        withTodaysFolder(
          entry,
          folders,
          (path) => sizeOf(launcherPid, path),
          (path) => changed.add(path),
        ),
    )
  })
  // By now with this pod's addresses, which decide what can come back.
  const entries = [...fileEntriesOf(await readFile(`${imagesFolder}/files.img`))]
  const connections = await fitConnections(imagesFolder, entries, own)
  await rewriteFilesImage(imagesFolder, (image) => withEntriesChanged(image, connections.change))
  await allowConnections(imagesFolder)
  await restartCalls(imagesFolder)
  await fitTerminals(imagesFolder)
  if (connections.kept + connections.closed > 0)
    log.info(
      { event: 'restore.connections', kept: connections.kept, closed: connections.closed },
      `${connections.kept} TCP connections go on, ${connections.closed} come back closed`,
    )
  for (const path of changed)
    log.warn(
      { event: 'restore.cluster_file_changed', path },
      'a file that the cluster gives has changed since the checkpoint',
    )
}

/** By mount point, where the kubelet's volumes have one. A `..data` that an application or a git-sync has made is its own. */
async function todaysFolders(pid: number, others: readonly string[]): Promise<Map<string, string>> {
  const folders = new Map<string, string>()
  for (const { path } of parseMounts(await readFile(`/proc/${pid}/mountinfo`, 'utf8'))) {
    if (others.includes(path)) continue
    const target = await readlink(`/proc/${pid}/root${path}/..data`).catch(() => '')
    if (isDated(target)) folders.set(path, target)
  }
  return folders
}

function sizeOf(pid: number, path: string): number | undefined {
  const file = statSync(`/proc/${pid}/root${path}`, { throwIfNoEntry: false })
  return file?.isFile() ? file.size : undefined
}
