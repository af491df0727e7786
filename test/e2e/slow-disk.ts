/**
 * A store on a disk of its own that can be made slow: ext4 on a loop device, held by the kernel's block layer to so many bytes a second,
 * as clouds hold their network disks. Nothing else of the machine, of the pod or of the sidecar gets slower.
 */
import { existsSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { must } from '../../scripts/command.ts'
import { cgroupFolder, cgroupVersion } from '../harness/cgroup.ts'
import type { Pod } from '../harness/pod.ts'
import { sidecar, type Stage } from './support.ts'

export type SlowDisk = {
  /** For what the pod's sidecar writes. */
  slow: (pod: Pod, bytesPerSecond: number) => void
  /** As fast as it can again. A process that waits for a slow disk does not even die. */
  letGo: () => void
}

/** Before the first pod runs. */
export async function storeOnSlowDisk(t: Test, stage: Stage, mebibytes: number): Promise<SlowDisk> {
  const image = join(stage.folder, 'disk.img')
  writeFileSync(image, '')
  truncateSync(image, mebibytes * 2 ** 20)
  await must(['mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0,nodiscard', image])
  mkdirSync(stage.storeFolder)
  await must(['mount', '-o', 'loop', image, stage.storeFolder])
  const device = (await must(['mountpoint', '-d', stage.storeFolder])).trim()
  // A run that was killed has left its limit to the next disk of this number.
  for (const folder of kernelsOwn) limit(folder, device, undefined)
  const held = new Set<string>()
  const letGo = () => {
    for (const folder of held) limit(folder, device, undefined)
    held.clear()
  }
  t.teardown(async () => {
    letGo()
    await must(['umount', '--lazy', stage.storeFolder])
  })
  const slow = (pod: Pod, bytesPerSecond: number) => {
    for (const folder of writersOf(pod)) {
      limit(folder, device, bytesPerSecond)
      held.add(folder)
    }
  }
  return { slow, letGo }
}

/**
 * Version 1 counts what the kernel writes back by itself as the root's (kernel: cgroup-v1/blkio-controller.rst), version 2 as that of
 * whoever wrote it (cgroup-v2.rst, Writeback).
 */
const kernelsOwn = cgroupVersion === 2 ? [] : [cgroupFolder('', 'blkio')]

function writersOf(pod: Pod): string[] {
  return [cgroupFolder(pod.container(sidecar).cgroupPath, 'blkio'), ...kernelsOwn]
}

function limit(folder: string, device: string, bytesPerSecond: number | undefined): void {
  // Gone with its pod.
  if (!existsSync(folder)) return
  if (cgroupVersion === 2) writeFileSync(join(folder, 'io.max'), `${device} wbps=${bytesPerSecond ?? 'max'}`)
  else writeFileSync(join(folder, 'blkio.throttle.write_bps_device'), `${device} ${bytesPerSecond ?? 0}`)
}
