/** The part of `make setup` that takes minutes, once: the root filesystems of tests, demo and guest, and what manifests are checked with. */
import { describeError } from '../../src/errors.ts'
import { busyboxImage } from './busybox.ts'
import { databaseImage, pythonImage, torchImage } from './debian.ts'
import { qemu } from '../vm/qemu.ts'
import { guestSystem } from '../vm/system.ts'
import { kubectl, promtool } from '../manifests/tools.ts'
import { lastingLayers } from './reprieve.ts'

try {
  const wanted: Promise<unknown>[] = [
    lastingLayers(),
    busyboxImage(),
    pythonImage(),
    databaseImage(),
    kubectl(),
    promtool(),
  ]
  if (process.env.WORKLOAD === 'torch') wanted.push(torchImage())
  await Promise.all(wanted)
  if (process.arch === 'x64') await Promise.all([qemu(), guestSystem()])
} catch (error) {
  process.stderr.write(`setup: ${describeError(error)}\n`)
  process.exitCode = 1
}
