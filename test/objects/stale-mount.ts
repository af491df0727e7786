/** A file system that has lost its files, as an NFS server has whose export was made anew: FUSE, which answers ESTALE. */
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, read, writeSync } from 'node:fs'

type Test = { teardown: (work: () => unknown) => void }

const opcodes = { forget: 2, getattr: 3, init: 26, batchForget: 42 }
const ENOENT = 2
const ESTALE = 116

/**
 * @param times how many calls are answered so, but for those that mount it; the later ones find nothing (ENOENT)
 * @returns how many calls there were
 */
export function staleMount(t: Test, folder: string, times: number): { asked: () => number } {
  const device = openSync('/dev/fuse', 'r+')
  const options = 'fd=3,rootmode=40000,user_id=0,group_id=0'
  execFileSync('mount', ['-i', '-t', 'fuse', '-o', options, 'stale', folder], {
    stdio: ['ignore', 'ignore', 'inherit', device],
  })
  let asked = 0
  let over = false
  const request = Buffer.alloc(1 << 20)
  const next = () => {
    read(device, request, 0, request.length, null, (error) => {
      if (over || error !== null) return
      const [opcode, unique] = [request.readUInt32LE(4), request.readBigUInt64LE(8)]
      if (opcode === opcodes.init) writeSync(device, answer(unique, 0, initialised()))
      else if (opcode === opcodes.getattr && request.readBigUInt64LE(16) === 1n)
        writeSync(device, answer(unique, 0, rootFolder())) // prettier-ignore
      else if (opcode !== opcodes.forget && opcode !== opcodes.batchForget)
        writeSync(device, answer(unique, asked++ < times ? ESTALE : ENOENT))
      next()
    })
  }
  next()
  t.teardown(() => {
    over = true
    execFileSync('umount', ['--lazy', folder])
    closeSync(device)
  })
  return { asked: () => asked }
}

/** `struct fuse_out_header` of linux/fuse.h, and what follows it. */
function answer(unique: bigint, errno: number, body: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(16)
  header.writeUInt32LE(16 + body.length, 0)
  header.writeInt32LE(-errno, 4)
  header.writeBigUInt64LE(unique, 8)
  return Buffer.concat([header, body])
}

/** `struct fuse_init_out`: version 7.31, writes of 128 KiB. */
function initialised(): Buffer {
  const body = Buffer.alloc(64)
  body.writeUInt32LE(7, 0)
  body.writeUInt32LE(31, 4)
  body.writeUInt32LE(128 << 10, 20)
  return body
}

/** `struct fuse_attr_out` of a folder. */
function rootFolder(): Buffer {
  const body = Buffer.alloc(104)
  body.writeBigUInt64LE(1n, 16)
  body.writeUInt32LE(0o40755, 76)
  body.writeUInt32LE(2, 80)
  return body
}
