import { once } from 'node:events'
import { existsSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { fieldsOf } from '../../sidecar/criu/protobuf.ts'
import { launch, scratch } from './launcher.ts'

type Ends = { client: Socket; server: Socket }

/** A connection of this process with itself, whose server reads nothing. */
async function connection(t: Test): Promise<Ends> {
  const listening = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(listening, 'listening')
  const client = connect({ port: (listening.address() as AddressInfo).port, allowHalfOpen: true })
  const [server] = (await once(listening, 'connection')) as [Socket]
  t.teardown(() => [client.destroy(), server.destroy(), listening.close()])
  return { client, server }
}

/** The test's own view of one of its descriptors. */
function wordOf(socket: Socket, state = 1): { word: string; inode: number } {
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
  const inode = Number(/^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1])
  return { word: `${inode}:${state}:${process.pid}:${fd}`, inode }
}

function imageOf(folder: string, inode: number) {
  const image = readFileSync(join(folder, `tcp-stream-${inode.toString(16)}.img`))
  t.equal(image.subarray(0, 8).toString('hex'), '1943565406554651', 'the magic numbers of CRIU')
  const end = 12 + image.readUInt32LE(8)
  const fields = new Map(fieldsOf(image.subarray(12, end)).map(({ number, value }) => [number, value]))
  const length = fields.get(1) ?? 0
  return { fields, in: image.subarray(end, end + length), out: image.subarray(end + length) }
}

t.test('saves both ends with the bytes under way, and leaves them as they were', async (t) => {
  const folder = scratch(t)
  const { client, server } = await connection(t)
  await new Promise((done) => client.write('under way', done))
  const [one, other] = [wordOf(client), wordOf(server)]
  const { code, stdout, stderr } = await launch(t, ['connections', `--images=${folder}`, '--', `${one.word},${other.word}`]).ended // prettier-ignore
  t.same({ code, stdout, stderr }, { code: 0, stdout: '', stderr: '' })
  const [saved, peer] = [imageOf(folder, one.inode), imageOf(folder, other.inode)]
  t.equal(peer.in.toString(), 'under way')
  t.equal(saved.in.length + saved.out.length + peer.out.length, 0)
  t.equal(saved.fields.get(4), peer.fields.get(2), 'what one has written the other has received')
  t.equal(saved.fields.get(2), peer.fields.get(4))
  client.write(', and on')
  client.end()
  const parts: Buffer[] = []
  for await (const part of server) parts.push(part as Buffer)
  t.equal(Buffer.concat(parts).toString(), 'under way, and on')
})

t.test('what cannot be read is left out, and the rest is saved', async (t) => {
  const folder = scratch(t)
  const { client, server } = await connection(t)
  const [one, other] = [wordOf(client), wordOf(server)]
  const pair = `${one.word},${other.word}`
  const gone = `7:1:${process.pid}:999,${other.word}`
  const mistaken = `8:${one.word.split(':').slice(1).join(':')}`
  const { code, stderr } = await launch(t, ['connections', `--images=${folder}`, '--', gone, mistaken, pair]).ended // prettier-ignore
  t.equal(code, 0)
  t.match(stderr, /pidfd_getfd of descriptor 999 of process/)
  t.ok(existsSync(join(folder, `tcp-stream-${one.inode.toString(16)}.img`)))
  t.notOk(existsSync(join(folder, 'tcp-stream-8.img')))
})

t.test('tells of a state that is newer than the caller’s', async (t) => {
  const folder = scratch(t)
  const { client, server } = await connection(t)
  client.end('all')
  await once(client, 'finish')
  const closeWait = 8
  const found = await launch(t, ['connections', `--images=${folder}`, '--', wordOf(server).word]).ended
  t.equal(found.stdout, `${wordOf(server).inode} ${closeWait}\n`)
  t.equal(imageOf(folder, wordOf(server).inode).in.toString(), 'all')
})

t.test('says what is wrong', async (t) => {
  const ending = async (...words: string[]) => launch(t, ['connections', ...words]).ended
  t.match(await ending('--images=/nowhere'), { code: 125, stderr: /usage: launcher connections/ })
  t.match(await ending('--images=/nowhere', '--', 'x'), {
    code: 125,
    stderr: /"x" is not INODE:STATE:PID:FD/,
  })
  const { client, server } = await connection(t)
  const pair = `${wordOf(client).word},${wordOf(server).word}`
  t.match(await ending('--images=/nowhere', '--', pair), { code: 0, stderr: /in \/nowhere: No such file/ })
})
