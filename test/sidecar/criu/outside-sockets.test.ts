import { createServer, connect } from 'node:net'
import t from 'tap'
import { connectedSockets, withOutsideClosed } from '../../../sidecar/criu/outside-sockets.ts'
import { encodeMessage, encodeNumber } from '../../../sidecar/criu/protobuf.ts'
import { imageOf } from './image-of.ts'

const [stream, datagram, seqpacket] = [1, 2, 5]

/** file_entry of the type UNIXSK. */
function socket(
  inode: number,
  type: number,
  peer: number,
  more: { uflags?: number; shutdown?: number } = {},
): Buffer {
  const { uflags = 0, shutdown } = more
  const last = shutdown === undefined ? [] : [encodeNumber(12, shutdown)]
  const fields = [
    encodeNumber(2, inode),
    encodeNumber(3, type),
    encodeNumber(6, uflags),
    encodeNumber(8, peer),
    ...last,
  ]
  return Buffer.concat([encodeNumber(1, 5), encodeNumber(2, 9), encodeMessage(16, Buffer.concat(fields))])
}
const outside = (inode: number) => socket(inode, datagram, 0, { uflags: 1 })

/** The fields in another order, which means the same. */
const closed = (inode: number, type: number, shutdown: number[]) =>
  Buffer.concat([
    encodeNumber(1, 5),
    encodeNumber(2, 9),
    encodeMessage(
      16,
      Buffer.concat([
        encodeNumber(2, inode),
        encodeNumber(3, type),
        encodeNumber(6, 0),
        encodeNumber(8, 0),
        ...shutdown.map((how) => encodeNumber(12, how)),
      ]),
    ),
  ])

t.test(
  'what is connected to the outside is closed, both ways where it has ways, and nothing else is',
  async (t) => {
    const inside = [
      socket(1, stream, 2),
      socket(2, stream, 1),
      socket(3, stream, 0),
      Buffer.from([8, 1, 16, 9]),
    ]
    const theirs = [outside(11), outside(12), outside(13), outside(14)]
    const image = imageOf(
      ...inside,
      socket(21, stream, 11),
      socket(22, datagram, 12),
      socket(23, seqpacket, 13, { shutdown: 2 }),
      socket(24, datagram, 12),
      ...theirs,
    )
    const expected = imageOf(
      ...inside,
      closed(21, stream, [3]),
      closed(22, datagram, []),
      closed(23, seqpacket, [3]),
      closed(24, datagram, []),
      ...theirs,
    )
    t.strictSame(withOutsideClosed(image), { image: expected, changed: 4 })
  },
)

t.test('an image without any stays as it is', async (t) => {
  t.equal(withOutsideClosed(imageOf(socket(1, stream, 2), socket(2, stream, 1))), undefined)
})

t.test('the connected sockets of a tree are found, and no listener', async (t) => {
  const path = `\0reprieve-test-${process.pid}`
  const server = createServer().listen(path)
  await new Promise((resolve) => server.once('listening', resolve))
  const before = await connectedSockets(process.pid)
  const client = connect(path)
  await new Promise((resolve) => server.once('connection', resolve))
  const after = await connectedSockets(process.pid)
  t.equal(after.length, before.length + 2, 'both ends are of this process')
  for (const inode of after) t.match(inode, /^\d+$/)
  client.destroy()
  server.close()
})
