import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { countOf } from '../../../sidecar/criu/kept-connections.ts'
import { encodeMessage, encodeNumber, fieldsOf } from '../../../sidecar/criu/protobuf.ts'
import { allowConnections, connectionsIn, insideOf, isAddressOf, keyOf, withClosed, withPorts, withStates } from '../../../sidecar/criu/tcp-connections.ts' // prettier-ignore
import { parseTcpTable } from '../../../sidecar/criu/tcp-table.ts'
import { fitted } from '../../../sidecar/restore/fit-connections.ts'
import { messageImage } from './image-of.ts'
import { closedSocket, established, socketEntry, v4, v6 } from './inet-sockets.ts'

const own = isAddressOf(['127.0.0.1', '::1', '10.8.0.9'])
const [loopback, pod, outside] = [v4(127, 0, 0, 1), v4(10, 8, 0, 9), v4(198, 51, 100, 7)]
const mappedLoopback = v6('00000000000000000000ffff7f000001')

const inventoryOf = (message: Buffer) => messageImage([0x58313116], message)

const inodes = (connections: readonly { inode: number }[]) => connections.map(({ inode }) => inode)

t.test('a connection is inside where both its ends are in the tree', async (t) => {
  const entries = [
    socketEntry({ inode: 1, state: 10, source: [loopback, 80], target: [v4(0, 0, 0, 0), 0] }),
    socketEntry({ inode: 2, source: [loopback, 40_000], target: [loopback, 80] }),
    socketEntry({ inode: 3, source: [mappedLoopback, 80], target: [mappedLoopback, 40_000] }),
    socketEntry({ inode: 4, source: [pod, 80], target: [outside, 5] }),
    socketEntry({ inode: 5, source: [loopback, 80], target: [loopback, 40_001] }),
    socketEntry({ inode: 6, state: 8, source: [loopback, 80], target: [loopback, 40_002] }),
    socketEntry({ inode: 7, state: 8, source: [pod, 80], target: [outside, 6] }),
    socketEntry({ inode: 8, source: [pod, 81], target: [pod, 81] }),
    socketEntry({ inode: 10, state: 7, source: [loopback, 80], target: [loopback, 40_004] }),
    socketEntry({ inode: 9, proto: 17, source: [loopback, 40_003], target: [loopback, 53] }),
  ]
  const { pairs, halves, others } = insideOf(connectionsIn(entries), own)
  t.same(pairs.map(inodes), [[2, 3]], 'of IPv4 and IPv6 alike')
  t.same(inodes(halves), [6], 'whose peer has closed it')
  t.same(inodes(others), [4, 5, 7, 8], 'to the outside, a neighbour, itself')
})

t.test('those that come back closed are told apart by where their other end is', async (t) => {
  const isAny = isAddressOf(['127.0.0.1', '10.8.0.9', 'fe80::1'])
  const link = v6('fe800000000000000000000000000001')
  const connections = connectionsIn([
    socketEntry({ inode: 1, source: [loopback, 40_000], target: [loopback, 80] }),
    socketEntry({ inode: 2, source: [loopback, 80], target: [loopback, 40_000] }),
    socketEntry({ inode: 3, source: [loopback, 40_001], target: [loopback, 80] }),
    socketEntry({ inode: 4, source: [pod, 40_002], target: [pod, 90] }),
    socketEntry({ inode: 5, source: [pod, 40_003], target: [outside, 90] }),
    socketEntry({ inode: 6, source: [pod, 81], target: [pod, 81] }),
    socketEntry({ inode: 7, source: [link, 40_004], target: [link, 80] }),
    socketEntry({ inode: 8, source: [link, 80], target: [link, 40_004] }),
  ])
  const table = new Map([
    ...connections.map((one) => [keyOf(one), one.inode] as const),
    ['127.0.0.1 80 127.0.0.1 40001', 0],
    ['10.8.0.9 90 10.8.0.9 40002', 99],
  ])
  const found = { outside: 1, neighbours: 1, unaccepted: 1 }
  t.same(countOf(connections, 2, isAny, table), { ...found, kept: 2, unread: 3 })
  t.same(countOf(connections, 0, isAny, table), { ...found, kept: 0, unread: 5 }, 'where nothing was read')
})

t.test('what is not kept is a closed socket afterwards', async (t) => {
  const ends = { source: [loopback, 40_000], target: [loopback, 80] } as const
  const entry = socketEntry({ inode: 2, shutdown: 1, ...ends })
  t.strictSame(
    withClosed(entry, () => false),
    closedSocket({ inode: 2, ...ends }),
  )
  t.equal(withClosed(entry, (inode) => inode === 2), undefined) // prettier-ignore
  t.equal(withClosed(socketEntry({ inode: 1, state: 10, source: [loopback, 80], target: [loopback, 0] }), () => false), undefined, 'a listener') // prettier-ignore
  t.equal(
    withClosed(Buffer.from([8, 1, 16, 9]), () => false),
    undefined,
    'another kind of file',
  )
  t.strictSame(
    withStates(entry, new Map([[2, 5]])),
    socketEntry({ inode: 2, state: 5, shutdown: 1, ...ends }),
  )
  t.equal(withPorts(entry, new Map([[3, { own: 1 }]])), undefined)
})

t.test('the kernel’s list names both ends as the images do', async (t) => {
  const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 20 4 30 10 -1
   1: 0100007F:1F91 0100007F:9C41 06 00000000:00000000 03:00000F9D 00000000     0        0 0 3 0000000000000000
   2: 0000000000000000FFFF00000100007F:1F92 0000000000000000FFFF00000100007F:9C42 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0000000000000000
   3: B80D0120000000000000000005000000:0016 00000000000000000000000001000000:9C43 01 00000000:00000000 00:00000000 00000000  1000        0 4713 1 0000000000000000
` // prettier-ignore
  t.strictSame(
    [...parseTcpTable(text)],
    [
      ['127.0.0.1 8080 127.0.0.1 40000', 4711],
      ['127.0.0.1 8081 127.0.0.1 40001', 0],
      ['127.0.0.1 8082 127.0.0.1 40002', 4712],
      ['2001:db8::5 22 ::1 40003', 4713],
    ],
  )
})

t.test('a restore keeps what is saved whole and has its address here', async (t) => {
  const entries = [...established(1, loopback), ...established(3, pod), ...established(5, v4(10, 8, 0, 5))]
  const here = ['127.0.0.1', '10.8.0.9']
  const keptOf = (saved: number[], table = new Map<string, number>()) => {
    const { change } = fitted(entries, new Set(saved), here, table)
    return connectionsIn(entries.map((entry) => change(entry) ?? entry))
  }
  t.same(inodes(keptOf([1, 2, 3, 4, 5, 6])), [1, 2, 3, 4], 'an address of another pod is closed')
  t.same(inodes(keptOf([1, 3, 4])), [3, 4], 'half of a pair is closed, too')
  t.same(inodes(keptOf([])), [], 'a checkpoint of an earlier release has saved none')
})

t.test('a connection that the kernel still remembers gets another port at the client’s end', async (t) => {
  const entries = [
    socketEntry({ inode: 9, state: 10, source: [loopback, 80], target: [loopback, 0] }),
    // Its number is the first that would be given.
    socketEntry({ inode: 8, state: 10, source: [v4(0, 0, 0, 0), 61_000], target: [v4(0, 0, 0, 0), 0] }),
    ...established(1, loopback),
  ]
  const table = new Map([['127.0.0.1 80 127.0.0.1 40000', 0]])
  const { change, kept } = fitted(entries, new Set([1, 2]), ['127.0.0.1'], table)
  t.equal(kept, 2)
  const [client, server] = connectionsIn(entries.map((entry) => change(entry) ?? entry))
  t.equal(client?.peer, '127.0.0.1 80')
  t.equal(server?.own, '127.0.0.1 80')
  t.equal(client?.own, server?.peer)
  t.equal(client?.own, '127.0.0.1 61001', 'nor the port that the application listens at')
})

t.test('CRIU is not told any more that all connections were closed', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'inventory-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'inventory.img')
  const rest = [encodeNumber(1, 2), encodeMessage(3, encodeNumber(1, 7)), encodeNumber(11, 3)]
  const [first, second, last] = rest as [Buffer, Buffer, Buffer]
  writeFileSync(file, inventoryOf(Buffer.concat([first, second, encodeNumber(10, 1), last])))
  t.equal(await allowConnections(folder), true)
  t.strictSame(readFileSync(file), inventoryOf(Buffer.concat(rest)))
  t.equal(await allowConnections(folder), false, 'once is enough')
  t.equal(fieldsOf(readFileSync(file).subarray(8)).length, 3)
  writeFileSync(file, inventoryOf(Buffer.concat(rest)).subarray(0, 12))
  await t.rejects(allowConnections(folder), /no image of one message/)
})
