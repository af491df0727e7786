/** Entries of TCP and UDP sockets as CRIU writes them into files.img. */
import { encodeMessage, encodeNumber } from '../../../sidecar/criu/protobuf.ts'

export const v4 = (...bytes: number[]) => [Buffer.from(bytes).readUInt32LE()]
export const v6 = (hex: string) => [0, 4, 8, 12].map((at) => Buffer.from(hex, 'hex').readUInt32LE(at))

type End = readonly [address: readonly number[], port: number]
type Socket = { inode: number; state?: number; proto?: number; source: End; target: End; shutdown?: number }

export function socketEntry({ inode, state = 1, proto = 6, source, target, shutdown }: Socket): Buffer {
  const message = [
    encodeNumber(1, 900 + inode),
    encodeNumber(2, inode),
    encodeNumber(5, proto),
    encodeNumber(6, state),
    encodeNumber(7, source[1]),
    encodeNumber(8, target[1]),
    ...source[0].map((word) => encodeNumber(11, word)),
    ...target[0].map((word) => encodeNumber(12, word)),
    encodeMessage(14, encodeNumber(1, 5)),
    ...(shutdown === undefined ? [] : [encodeNumber(19, shutdown)]),
  ]
  return Buffer.concat([encodeNumber(1, 4), encodeNumber(2, 9), encodeMessage(4, Buffer.concat(message))])
}

/** Bound to nothing, and shut both ways. */
export function closedSocket({ inode, source, target }: Socket): Buffer {
  return socketEntry({ inode, state: 7, source: [source[0], 0], target: [target[0], 0], shutdown: 3 })
}

/** A client at port 40000 and its server at port 80, with two inodes from the first on. */
export function established(inode: number, address: readonly number[]): [Buffer, Buffer] {
  return [
    socketEntry({ inode, source: [address, 40_000], target: [address, 80] }),
    socketEntry({ inode: inode + 1, source: [address, 80], target: [address, 40_000] }),
  ]
}
