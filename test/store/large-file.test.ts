import { createHash } from 'node:crypto'
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createDirectoryStore } from '../../src/store/directory.ts'
import { withEarlySync } from '../../src/store/early-sync.ts'
import { streamHashed } from '../../src/store/hashed-stream.ts'
import { bothDone, limitedParallel } from '../../src/store/limited-parallel.ts'
import { folderFor, never, sampleDraft, writeTree } from './samples.ts'

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

t.test('a file of many chunks, synced on the way, is stored whole', async (t) => {
  const folder = folderFor(t)
  const source = writeTree(join(folder, 'source'), { small: Buffer.from('x') })
  const file = openSync(join(source, 'large'), 'w')
  const sizeBytes = (150 << 20) + 7
  ftruncateSync(file, sizeBytes)
  for (let at = 0; at < sizeBytes; at += 9_999_991) writeSync(file, `at ${at}`, at)
  closeSync(file)
  const store = createDirectoryStore({ name: 'disk', path: join(folder, 'store'), transfer: 'copy' })
  const { manifest } = await store.put(sampleDraft(), source, never)
  const wanted = { path: 'large', sizeBytes, sha256: sha256(readFileSync(join(source, 'large'))) }
  t.match(manifest.files, [wanted, { path: 'small', sha256: sha256(Buffer.from('x')) }])
  await store.fetch(manifest, join(folder, 'target'), never)
  t.ok(readFileSync(join(folder, 'target', 'large')).equals(readFileSync(join(source, 'large'))))
})

t.test('an error that only an early sync was told is not lost', async (t) => {
  let syncs = 0
  const file = {
    write: (_chunk: unknown, _offset: unknown, length: number) => Promise.resolve({ bytesWritten: length }),
    datasync: () => (syncs++ === 0 ? Promise.reject(new Error('EIO once')) : Promise.resolve()),
  } as unknown as Parameters<typeof withEarlySync>[0]
  const stored = withEarlySync(file, async (write) => {
    for (let chunk = 0; chunk < 3; chunk++) await write(Buffer.alloc(40 << 20), chunk)
  })
  await t.rejects(stored, { message: 'EIO once' })
})

t.test('short writes are made up for', async (t) => {
  const taken: [number, number][] = []
  const file = {
    write: (_chunk: unknown, _offset: number, length: number, position: number) => {
      const bytesWritten = Math.min(length, 3)
      taken.push([position, bytesWritten])
      return Promise.resolve({ bytesWritten })
    },
    datasync: () => Promise.resolve(),
  } as unknown as Parameters<typeof withEarlySync>[0]
  await withEarlySync(file, (write) => write(Buffer.alloc(7), 100))
  t.same(taken, [
    [100, 3],
    [103, 3],
    [106, 1],
  ])
})

t.test('a file that is longer or shorter than expected shows it in its size', async (t) => {
  const folder = writeTree(folderFor(t), { file: Buffer.alloc(3_000_000) })
  const file = await open(join(folder, 'file'))
  t.teardown(() => file.close())
  t.equal((await streamHashed(file, undefined, 3_000_000, never)).sha256, sha256(Buffer.alloc(3_000_000)))
  t.ok((await streamHashed(file, undefined, 2_999_999, never)).sizeBytes > 2_999_999)
  t.equal((await streamHashed(file, undefined, 3_000_001, never)).sizeBytes, 3_000_000)
})

t.test('work goes on two at a time, and after a failure nothing new begins', async (t) => {
  let [running, most] = [0, 0]
  const begun: number[] = []
  const work = async (item: number, signal: AbortSignal) => {
    begun.push(item)
    most = Math.max(most, ++running)
    await new Promise((resolve) => setTimeout(resolve, 5))
    running--
    signal.throwIfAborted()
    if (item === 3) throw new Error('the third failed')
    return item * 2
  }
  t.same(await limitedParallel([5, 6, 7], 2, never, work), [10, 12, 14])
  begun.length = 0
  await t.rejects(limitedParallel([1, 2, 3, 4, 5, 6, 7, 8], 2, never, work), { message: 'the third failed' })
  t.equal(running, 0, 'nothing runs any more')
  t.equal(most, 2)
  t.notOk(begun.includes(7))
  await t.rejects(limitedParallel([1, 2], 2, AbortSignal.abort(new Error('enough')), work), {
    message: 'enough',
  })
})

t.test('of two calls that go on together both have ended before a failure is told', async (t) => {
  let ended = false
  const slow = new Promise<void>((resolve) => setTimeout(resolve, 20)).then(() => (ended = true))
  await t.rejects(bothDone(Promise.reject(new Error('first')), slow), { message: 'first' })
  t.ok(ended)
})
