/** The part of `make setup` that takes minutes, once: the root filesystems of tests, demo and guest, what manifests are checked with, and S3 servers. */
import { describeError } from '../../src/errors.ts'
import { busyboxImage } from './busybox.ts'
import { databaseImage, pythonImage, torchImage } from './debian.ts'
import { qemu } from '../vm/qemu.ts'
import { guestSystem } from '../vm/system.ts'
import { kubectl, promtool } from '../manifests/tools.ts'
import { moto } from '../objects/servers/moto.ts'
import { radosgw } from '../objects/servers/radosgw.ts'
import { lastingLayers } from './reprieve.ts'

try {
  const wanted: Promise<unknown>[] = [
    lastingLayers(),
    busyboxImage(),
    pythonImage(),
    databaseImage(),
    kubectl(),
    promtool(),
    radosgw(),
    moto(),
  ]
  if (process.env.WORKLOAD === 'torch') wanted.push(torchImage())
  await Promise.all(wanted)
  if (process.arch === 'x64') await Promise.all([qemu(), guestSystem()])
} catch (error) {
  process.stderr.write(`setup: ${describeError(error)}\n`)
  process.exitCode = 1
}
