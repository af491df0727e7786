/** Each kind of damage is found before anything of the damaged chunk is given out, and has its own code. */
import t from 'tap'
import { manifestKey, packKey } from '../../src/chunks/lineage-objects.ts'
import { chunkedVersion, readManifest, type ChunkedManifest } from '../../src/chunks/manifest.ts'
import { readIndex, writeIndex, indexBytes } from '../../src/chunks/pack.ts'
import { keyedSeal } from '../../src/chunks/seal.ts'
import { canonicalJson } from '../../src/sealed-json.ts'
import { verifyLineage } from '../../src/chunks/verify.ts'
import { writeCheckpoint } from '../../src/chunks/write.ts'
import { diceOf } from '../webhook/mutated-reviews.ts'
import { content, fileOf, lineageOf, readAll, signal } from './samples.ts'

const options = { signal, level: 1, packBytes: 20_000 }

async function stored(sealed: boolean, ids: readonly string[] = ['c1'], bytes = 30_000) {
  const at = lineageOf(sealed)
  const manifests: ChunkedManifest[] = []
  for (const id of ids) {
    const file = fileOf('f', content(id, bytes), 4000)
    manifests.push(await writeCheckpoint(at, { id, generation: 1, epoch: 1 }, [file], options))
  }
  const packOf = (number: number, pack = 0) => packKey(at, manifests[number]?.packs[pack]?.id ?? '')
  const bodyOf = (key: string) => at.objects.all.get(key)?.body ?? Buffer.alloc(0)
  const replace = (key: string, body: Buffer) => at.objects.all.set(key, { body, modifiedMs: 0 })
  return { at, manifests, packOf, bodyOf, replace }
}

for (const sealed of [true, false]) {
  t.test(`10,000 flipped bits are all found, ${sealed ? 'sealed' : 'not sealed'}`, async (t) => {
    const { at, bodyOf } = await stored(sealed, ['c1'], 6000)
    const dice = diceOf(sealed ? 1 : 2)
    const keys = [...at.objects.all.keys()]
    let unseen = 0
    for (let flip = 0; flip < 5000; flip++) {
      const body = bodyOf(keys[dice(keys.length)] ?? '')
      // Every other one hits the end, where the index is.
      const span = flip % 2 === 0 ? body.length : Math.min(body.length, 500)
      const position = body.length - 1 - dice(span)
      const bit = 1 << dice(8)
      body[position] = (body[position] ?? 0) ^ bit
      await readAll(at, 'c1').then(
        () => unseen++,
        (error) => error.name === 'ReprieveError' || t.fail(String(error)),
      )
      body[position] = (body[position] ?? 0) ^ bit
    }
    t.equal(unseen, 0)
    await readAll(at, 'c1')
  })

  t.test(`kinds of damage, ${sealed ? 'sealed' : 'not sealed'}`, async (t) => {
    const { at, packOf, bodyOf, replace } = await stored(sealed, ['c1', 'c2'])
    const [one, two] = [packOf(0), packOf(0, 1)]
    const manifest = manifestKey(at, 'c1')
    const cases: [string, string, Buffer | undefined, string][] = [
      ['a missing pack', one, undefined, 'object-missing'],
      ['a truncated pack', one, bodyOf(one).subarray(0, -1), 'store-truncated'],
      ['an empty pack', one, Buffer.alloc(0), 'store-truncated'],
      ['a truncated manifest', manifest, bodyOf(manifest).subarray(0, -20), 'store-truncated'],
      ['a swapped manifest', manifest, bodyOf(manifestKey(at, 'c2')), 'store-swapped'],
    ]
    for (const [what, key, body, code] of cases) {
      const before = bodyOf(key)
      if (body === undefined) at.objects.all.delete(key)
      else replace(key, body)
      await t.rejects(readAll(at, 'c1'), { code }, what)
      t.match(await verifyLineage(at, signal), [{ code, checkpoints: ['c1'] }], `verify: ${what}`)
      replace(key, before)
    }
    t.same(await verifyLineage(at, signal), [])
    t.not(one, two)
  })
}

t.test('a pack under the name of another', async (t) => {
  const { at, packOf, bodyOf, replace } = await stored(true, ['c1', 'c2'])
  replace(packOf(0), bodyOf(packOf(1)))
  await t.rejects(readAll(at, 'c1'), { code: 'store-swapped' })
})

t.test('another pack of the same id and the same key', async (t) => {
  const { at, manifests, packOf, bodyOf, replace } = await stored(true)
  const body = bodyOf(packOf(0))
  const length = indexBytes(manifests[0]?.packs[0]?.entries ?? 0)
  const { id, entries } = readIndex(body.subarray(-length), at.seal)
  const older = writeIndex(id, entries.toReversed(), at.seal)
  replace(packOf(0), Buffer.concat([body.subarray(0, -length), older]))
  await t.rejects(readAll(at, 'c1'), { code: 'store-replayed' })
})

t.test('a chunk at the place of another does not open', async (t) => {
  const { at, packOf, bodyOf } = await stored(false)
  const body = bodyOf(packOf(0))
  const length = Math.floor(body.length / 8)
  body.copyWithin(0, length, 2 * length)
  await t.rejects(readAll(at, 'c1'), { code: 'store-damaged' })
})

t.test('the key of another lineage, no key, and a key where none was', async (t) => {
  const sealed = await stored(true)
  const open = await stored(false)
  const foreign = { ...sealed.at, seal: keyedSeal(Buffer.alloc(32, 8), sealed.at.lineage) }
  await t.rejects(readAll(foreign, 'c1'), { code: 'key-foreign' })
  await t.rejects(readAll({ ...sealed.at, seal: open.at.seal }, 'c1'), { code: 'key-foreign' })
  await t.rejects(readAll({ ...open.at, seal: sealed.at.seal }, 'c1'), { code: 'store-unsealed' })
  t.throws(() => keyedSeal(Buffer.alloc(31), 'x'), RangeError)
})

t.test('a manifest of a newer version', async (t) => {
  const { at, manifests } = await stored(true)
  const text = `{"content":${canonicalJson({ ...manifests[0], version: chunkedVersion + 1 })}`
  const bytes = Buffer.from(`${text},"mac":"${at.seal.mac(Buffer.from(text)).toString('hex')}"}\n`)
  const expected = { id: 'c1', lineage: at.lineage }
  t.throws(() => readManifest(bytes, at.seal, expected), { code: 'store-newer' })
})

t.test('verify names a damaged chunk and every checkpoint that it costs', async (t) => {
  const at = lineageOf(true)
  const shared = fileOf('shared', content('s', 4000))
  for (const id of ['c1', 'c2', 'c3']) {
    const own = fileOf('own', content(id, 4000))
    const files = id === 'c3' ? [own] : [shared, own]
    await writeCheckpoint(at, { id, generation: 1, epoch: 1 }, files, options)
  }
  const manifest = readManifest(at.objects.all.get(manifestKey(at, 'c1'))?.body ?? Buffer.alloc(0), at.seal, {
    id: 'c1',
    lineage: at.lineage,
  })
  const id = manifest.packs[0]?.id ?? ''
  const body = at.objects.all.get(packKey(at, id))?.body ?? Buffer.alloc(0)
  body[100] = (body[100] ?? 0) ^ 1
  t.match(await verifyLineage(at, signal), [
    { what: `chunk 0 of the pack ${id}`, code: 'store-damaged', checkpoints: ['c1', 'c2'] },
  ])
})
