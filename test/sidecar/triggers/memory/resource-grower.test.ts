import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { SocketGrower } from '../../../../sidecar/triggers/memory/resource-grower.ts'

/** A real socket whose other end does as the test says. */
async function growerBeside(t: Test, serve: (socket: Socket, line: string) => void): Promise<SocketGrower> {
  const folder = mkdtempSync(join(tmpdir(), 'reprieve-grower-'))
  const path = join(folder, 's')
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    socket.setEncoding('utf8').once('data', (line: string) => serve(socket, line))
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
    rmSync(folder, { recursive: true })
  })
  return new SocketGrower(path)
}

t.test('asks by one line, and hears that it is accepted', async (t) => {
  const grower = await growerBeside(t, (socket, line) => {
    t.strictSame(JSON.parse(line), { container: 'train', limitBytes: 4096 })
    socket.write('{"accepted":')
    setTimeout(() => socket.write('true}\n'), 10)
  })
  t.strictSame(await grower.grow('train', 4096, 60_000), { outcome: 'accepted' })
})

const answers: Record<string, [serve: (socket: Socket) => void, why: RegExp]> = {
  'a refusal': [(socket) => socket.write('{"refused":"Node did not have enough capacity"}\n'), /^Node did not have enough capacity$/], // prettier-ignore
  garbage: [(socket) => socket.write('what?\n'), /an answer that is none: what\?/],
  'another answer': [(socket) => socket.write('{"accepted":"yes"}\n'), /an answer that is none/],
  'an endless line': [(socket) => socket.write('x'.repeat(100_000)), /too long/],
  'an end without an answer': [(socket) => socket.end(), /closed without an answer/],
  silence: [() => undefined, /no answer in 200 ms/],
}
for (const [name, [serve, why]] of Object.entries(answers))
  t.test(`${name} is a refusal with its reason`, async (t) => {
    const grower = await growerBeside(t, serve)
    const deadlineMs = name === 'silence' ? 200 : 60_000
    t.match(await grower.grow('train', 4096, deadlineMs), { outcome: 'refused', why })
  })

t.test('nobody there is a refusal with its reason', async (t) => {
  const grower = new SocketGrower(join(tmpdir(), 'reprieve-nobody'))
  t.match(await grower.grow('train', 4096, 60_000), { outcome: 'refused', why: /ENOENT/ })
})
