/** What is written is read back; what the lineage has already is not written again. */
import t from 'tap'
import { cutMemory, cutPlain, readPagemap } from '../../src/chunks/cut.ts'
import { manifestKey, packKey } from '../../src/chunks/lineage-objects.ts'
import { writeCheckpoint } from '../../src/chunks/write.ts'
import { content, fileOf, lineageOf, readAll, signal } from './samples.ts'

const options = { signal, level: 1, packBytes: 256 * 1024 }

for (const sealed of [true, false]) {
  t.test(`a checkpoint comes back byte for byte, ${sealed ? 'sealed' : 'not sealed'}`, async (t) => {
    const at = lineageOf(sealed)
    const files = new Map([
      ['images/pages-1.img', Buffer.concat([content('a', 2_500_000), Buffer.alloc(3_000_000)])],
      ['files/noise', content('b', 10).subarray(0, 3)],
      ['files/empty', Buffer.alloc(0)],
    ])
    const sources = [...files].map(([path, all]) => fileOf(path, all))
    const manifest = await writeCheckpoint(at, { id: 'c1', generation: 3, epoch: 9 }, sources, options)
    const back = await readAll(at, 'c1')
    for (const [path, all] of files) t.ok((back.get(path) ?? Buffer.alloc(0)).equals(all), path)
    t.match(manifest, { generation: 3, epoch: 9, sizes: { contentBytes: 5_500_003 } })
    t.ok(manifest.sizes.newBytes <= 3_600_000, 'whole pieces of zeros are not stored')
    t.ok(manifest.sizes.storedBytes < manifest.sizes.newBytes, 'what shrinks is compressed')
  })
}

t.test('of a memory that changed by 2 %, at most 5 % is written', async (t) => {
  const at = lineageOf(true)
  const memory = content('m', 8_000_000)
  const first = await writeCheckpoint(at, about('c1'), [fileOf('pages', memory, 80_000)], options)
  for (const piece of [17, 60]) content(`n${piece}`, 80_000).copy(memory, piece * 80_000)
  const second = await writeCheckpoint(at, about('c2'), [fileOf('pages', memory, 80_000)], options)
  t.ok(second.sizes.storedBytes <= first.sizes.storedBytes * 0.05, `${second.sizes.storedBytes} bytes`)
  t.ok(second.sizes.storedBytes > 0)
  t.ok((await readAll(at, 'c2')).get('pages')?.equals(memory))
})

t.test('equal pieces of one checkpoint are stored once', async (t) => {
  const at = lineageOf(true)
  const one = content('p', 100_000)
  const files = [1, 2, 3].map((fork) => fileOf(`pages-${fork}`, one))
  const { sizes } = await writeCheckpoint(at, about('c1'), files, options)
  t.equal(sizes.newBytes, 100_000)
})

t.test('names tell nothing without the key, and no content is to be seen', async (t) => {
  const all = content('s', 50_000)
  const [keyed, other] = [lineageOf(true), lineageOf(true, undefined, 'team/Job/train/1')]
  t.notSame(keyed.seal.name(all), other.seal.name(all))
  await writeCheckpoint(keyed, about('c1'), [fileOf('f', all)], { ...options, level: 0 })
  const packs = [...keyed.objects.all].filter(([key]) => key.startsWith(packKey(keyed, '')))
  t.equal(packs.length, 1)
  for (const [, { body }] of packs) t.notOk(body.includes('as a memory has it'))
})

t.test('a second checkpoint of one id leaves the first one', async (t) => {
  const at = lineageOf(true)
  await writeCheckpoint(at, about('c1'), [fileOf('f', content('1', 1000))], options)
  await t.rejects(writeCheckpoint(at, about('c1'), [fileOf('f', content('2', 1000))], options), {
    code: 'object-exists',
  })
  t.ok((await readAll(at, 'c1')).get('f')?.equals(content('1', 1000)))
})

t.test('a writer that dies at any put leaves the checkpoint before it', async (t) => {
  const at = lineageOf(true)
  await writeCheckpoint(at, about('c1'), [fileOf('f', content('1', 1_000_000), 50_000)], options)
  let deaths = 0
  for (let puts = 0; !at.objects.all.has(manifestKey(at, 'c2')); puts++) {
    at.objects.putsLeft = puts
    const file = fileOf('f', content('2', 1_000_000), 50_000)
    await writeCheckpoint(at, about('c2'), [file], options).catch(() => deaths++)
    t.ok((await readAll(at, 'c1')).get('f')?.equals(content('1', 1_000_000)))
  }
  t.ok(deaths >= 3, `${deaths} deaths`)
  t.ok((await readAll(at, 'c2')).get('f')?.equals(content('2', 1_000_000)))
})

t.test('memory is cut at virtual addresses', async (t) => {
  const mebibyte = 1024 * 1024
  const ranges = [
    { address: mebibyte - 8192, pages: 3 },
    { address: 4 * mebibyte, pages: 512 },
  ]
  t.same(cutMemory(ranges, 515 * 4096), [8192, 4096, mebibyte, mebibyte])
  t.equal(cutMemory(ranges, 514 * 4096), undefined)
  t.same(cutPlain(2 * mebibyte + 5), [mebibyte, mebibyte, 5])
})

t.test("reads CRIU's pagemap", async (t) => {
  const head = [2, 0, 0, 0, 0x08, 7]
  const inPages = [9, 0, 0, 0, 0x08, 0x80, 0x80, 0x40, 0x10, 3, 0x20, 4, 0][Symbol.iterator]()
  const entry = [...inPages].slice(0, 12)
  entry[0] = 8
  const inParent = [8, 0, 0, 0, 0x08, 0x80, 0xc0, 0x40, 0x10, 1, 0x20, 1]
  const magic = [0x19, 0x43, 0x56, 0x54, 0x25, 0x40, 0x08, 0x56]
  const image = Buffer.from([...magic, ...head, ...entry, ...inParent])
  t.same(readPagemap(image), { pagesId: 7, ranges: [{ address: 0x100000, pages: 3 }] })
  t.equal(readPagemap(image.subarray(0, -1)), undefined)
  t.equal(readPagemap(Buffer.from('something else')), undefined)
})

function about(id: string) {
  return { id, generation: 1, epoch: 1 }
}
