/** Prints the folder of the system that the image is built on, making it first if need be. */
import { baseRootfs } from './rootfs.ts'

process.stdout.write(`${await baseRootfs()}\n`)
