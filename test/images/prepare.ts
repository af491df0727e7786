/** The part of `make setup` that takes minutes, once: the root filesystems that the tests and the demo need. */
import { describeError } from '../../src/errors.ts'
import { busyboxImage } from './busybox.ts'
import { pythonImage, torchImage } from './debian.ts'
import { prepareReprieveImage } from './reprieve.ts'

try {
  const wanted: Promise<unknown>[] = [prepareReprieveImage(), busyboxImage(), pythonImage()]
  if (process.env.WORKLOAD === 'torch') wanted.push(torchImage())
  await Promise.all(wanted)
} catch (error) {
  process.stderr.write(`setup: ${describeError(error)}\n`)
  process.exitCode = 1
}
