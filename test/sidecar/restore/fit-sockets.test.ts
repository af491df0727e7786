import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { encodeMessage, encodeNumber } from '../../../sidecar/criu/protobuf.ts'
import { fitSockets, withPlaces } from '../../../sidecar/restore/fit-sockets.ts'
import { imageOf } from '../criu/image-of.ts'

type Socket = { name: string; isDeleted?: boolean; folder?: string; end?: string }

/** file_entry with unix_sk_entry. */
function socketOf({ name, isDeleted, folder, end = '\0' }: Socket): Buffer {
  const parts = [
    encodeNumber(2, 5),
    encodeMessage(11, Buffer.from(`${name}${end}`)),
    encodeNumber(12, 3),
    ...(folder === undefined ? [] : [encodeMessage(14, Buffer.from(folder))]),
    ...(isDeleted === undefined ? [] : [encodeNumber(15, Number(isDeleted))]),
  ]
  return Buffer.concat([encodeNumber(1, 5), encodeNumber(2, 9), encodeMessage(16, Buffer.concat(parts))])
}

const image = (...sockets: Socket[]) => imageOf(...sockets.map(socketOf))

t.test('a socket is bound to where its file was', async (t) => {
  const cases: { what: string; was: Socket; is?: Socket; files: string[] }[] = [
    {
      what: 'linked to its place',
      was: { name: '/run/s.sock.77', isDeleted: true },
      is: { name: '/run/s.sock' },
      files: ['/run/s.sock', '/run/stale'],
    },
    {
      what: 'renamed to its place',
      was: { name: '/run/.s.new' },
      is: { name: '/run/s.sock' },
      files: ['/run/s.sock'],
    },
    {
      what: 'without an end',
      was: { name: '/run/s.new', end: '' },
      is: { name: '/run/s', end: '' },
      files: ['/run/s'],
    },
    { what: 'at its place', was: { name: '/run/s.sock' }, files: ['/run/s.sock', '/run/s.sock.1'] },
    { what: 'deleted', was: { name: '/run/s.sock', isDeleted: true }, files: ['/run/stale'] },
    { what: 'on a volume that is not listed', was: { name: '/claim/s.sock' }, files: ['/run/stale'] },
    { what: 'one of two files', was: { name: '/run/s.new' }, files: ['/run/one', '/run/other'] },
    { what: 'with an abstract name', was: { name: '\0s.new' }, files: ['/run/s'] },
    { what: 'with a relative name', was: { name: 's.new', folder: '/run' }, files: ['/run/s'] },
  ]
  for (const { what, was, is, files } of cases)
    t.strictSame(withPlaces(image(was), files)?.image, is && image(is), what)
})

t.test('accepted connections keep the name of their listener', async (t) => {
  const was = { name: '/run/s.new', isDeleted: true }
  t.strictSame(withPlaces(image(was, was), ['/run/s']), {
    image: image({ name: '/run/s' }, { name: '/run/s' }),
    changed: 2,
  })
})

t.test('a file that two sockets could have is nobody’s', async (t) => {
  const sockets = image({ name: '/run/s.1' }, { name: '/run/s.2' })
  t.equal(withPlaces(sockets, ['/run/s']), undefined)
})

t.test('the files are those that the checkpoint lists', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sockets-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'criu'))
  writeFileSync(join(folder, 'criu/files.img'), image({ name: '/run/s.new' }))
  t.equal(await fitSockets(folder), 0, 'a checkpoint of an earlier release has no list')
  writeFileSync(join(folder, 'sockets.list'), '/run/s\0')
  t.equal(await fitSockets(folder), 1)
  t.strictSame(readFileSync(join(folder, 'criu/files.img')), image({ name: '/run/s' }))
})
