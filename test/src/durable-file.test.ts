import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeFolder, replaceFile, writeNewFile } from '../../src/durable-file.ts'
import { folderFor } from '../store/samples.ts'

t.test('a file is replaced as a whole, and nothing is left beside it', async (t) => {
  const folder = folderFor(t)
  const path = join(folder, 'file')
  await replaceFile(path, Buffer.from('one'))
  await replaceFile(path, Buffer.from('two'))
  t.equal(readFileSync(path, 'utf8'), 'two')
  t.same(readdirSync(folder), ['file'])
  t.equal(lstatSync(path).mode & 0o777, 0o600)
})

t.test('a replacement that fails leaves the old file and nothing else', async (t) => {
  const folder = folderFor(t)
  mkdirSync(join(folder, 'taken'))
  await t.rejects(replaceFile(join(folder, 'taken'), Buffer.from('x')), { code: 'EISDIR' })
  t.same(readdirSync(folder), ['taken'])
})

t.test('a new file overwrites nothing, not even through a link', async (t) => {
  const folder = folderFor(t)
  writeFileSync(join(folder, 'there'), 'mine')
  symlinkSync('nowhere', join(folder, 'link'))
  await t.rejects(writeNewFile(join(folder, 'there'), Buffer.from('x')), { code: 'EEXIST' })
  await t.rejects(writeNewFile(join(folder, 'link'), Buffer.from('x')), { code: 'EEXIST' })
  t.equal(readFileSync(join(folder, 'there'), 'utf8'), 'mine')
  t.notOk(existsSync(join(folder, 'nowhere')))
})

t.test('readers of a file that is being replaced see one content or the other, whole', async (t) => {
  const path = join(folderFor(t), 'file')
  const contents = ['a', 'b'].map((letter) => Buffer.from(letter.repeat(100_000)))
  await replaceFile(path, contents[0] ?? Buffer.alloc(0))
  const state = { writing: true }
  const writer = (async () => {
    for (let round = 0; round < 100; round++) await replaceFile(path, contents[round % 2] ?? Buffer.alloc(0))
    state.writing = false
  })()
  let reads = 0
  for (; state.writing; reads++) {
    const seen = readFileSync(path)
    if (!contents.some((content) => content.equals(seen))) t.fail(`read ${seen.length} bytes of a mixture`)
    await new Promise(setImmediate)
  }
  await writer
  t.ok(reads > 10, `${reads} reads beside 100 writes`)
})

t.test('folders are made with their parents, for this user alone', async (t) => {
  const folder = folderFor(t)
  await makeFolder(join(folder, 'a', 'b', 'c'))
  await makeFolder(join(folder, 'a', 'b', 'c'))
  for (const path of ['a', 'a/b', 'a/b/c']) t.equal(lstatSync(join(folder, path)).mode & 0o777, 0o700, path)
})
