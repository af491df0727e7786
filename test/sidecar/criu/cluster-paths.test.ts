import t from 'tap'
import { isDated, withTodaysFolder } from '../../../sidecar/criu/cluster-paths.ts'
import { encodeMessage, encodeNumber } from '../../../sidecar/criu/protobuf.ts'

const [was, is] = ['..2026_11_29_10_11_12.123456789', '..2026_11_30_01_02_03.987654321']
const folders = new Map([['/settings', is]])
const text = (field: number, value: string) => encodeMessage(field, Buffer.from(value))

function regular(path: string, size: number): Buffer {
  const file = [encodeNumber(1, 5), text(6, path), encodeNumber(8, size), encodeNumber(10, 0o100644)]
  return Buffer.concat([encodeNumber(1, 1), encodeNumber(2, 5), encodeMessage(3, Buffer.concat(file))])
}

function watcher(...paths: string[]): Buffer {
  const watches = paths.map((path) => {
    const handle = Buffer.concat([encodeNumber(1, 8), encodeNumber(3, 77), text(4, path)])
    return encodeMessage(5, Buffer.concat([encodeNumber(1, 5), encodeMessage(7, handle)]))
  })
  const message = encodeMessage(13, Buffer.concat([encodeNumber(1, 5), ...watches]))
  return Buffer.concat([encodeNumber(1, 8), encodeNumber(2, 5), message])
}

/** @param size of what is there today, -1 where that is a folder */
function today(entry: Buffer, size = 3) {
  const told: string[] = []
  const tell = (path: string) => void told.push(path)
  return { entry: withTodaysFolder(entry, folders, () => (size < 0 ? undefined : size), tell), told }
}

t.test('a file or folder that a process holds is looked for in today’s folder', async (t) => {
  t.strictSame(today(regular(`/settings/${was}/a/b`, 3)), {
    entry: regular(`/settings/${is}/a/b`, 3),
    told: [],
  })
  t.strictSame(today(regular(`/settings/${was}`, 60), -1), {
    entry: regular(`/settings/${is}`, 60),
    told: [],
  })
  const watched = [`/settings/${was}`, '/settings/..data', `/settings/${was}/key`]
  t.strictSame(
    today(watcher(...watched)).entry,
    watcher(`/settings/${is}`, '/settings/..data', `/settings/${is}/key`),
  )
})

t.test('one that has another size now is told of, and has that', async (t) => {
  t.strictSame(today(regular(`/settings/${was}/a`, 3), 700), {
    entry: regular(`/settings/${is}/a`, 700),
    told: [`/settings/${is}/a`],
  })
})

t.test('what is not the cluster’s stays as it is', async (t) => {
  for (const path of [
    `/data/${was}/a`,
    `/settings/sub/${was}/a`,
    `/settings/${is}/a`,
    '/settings/..data/a',
    '/a',
  ])
    t.equal(today(regular(path, 3), 700).entry, undefined, path)
  t.equal(today(watcher('/a')).entry, undefined)
  t.equal(today(encodeNumber(1, 17)).entry, undefined)
  t.ok(isDated(was))
  for (const name of ['..data', '..2026', `x${was}`, `${was}_tmp`]) t.notOk(isDated(name), name)
})
