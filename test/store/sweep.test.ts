import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createDirectoryStore } from '../../src/store/directory.ts'
import { encodeName, partialName, trashName } from '../../src/store/slot-folder.ts'
import { ownWriterMark, writerState } from '../../src/store/writer-mark.ts'
import fc from 'fast-check'
import { folderFor, leftovers, never, sampleDraft, slot, slotPath, writeTree } from './samples.ts'

/** The mark of a process of this PID namespace that has ended. */
function markOfTheDead(): string {
  const module = join(import.meta.dirname, '../../src/store/writer-mark.ts')
  const script = `import { ownWriterMark } from ${JSON.stringify(module)}; process.stdout.write(ownWriterMark())`
  return spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }).stdout
}

const elsewhere = '0123456789ab.17.4711'

t.test(
  'a writer knows itself to be alive, one that ended to be dead, and nothing of one elsewhere',
  async (t) => {
    t.equal(writerState(ownWriterMark()), 'alive')
    t.equal(writerState(markOfTheDead()), 'dead')
    t.equal(writerState(elsewhere), 'elsewhere')
    const [place, pid] = ownWriterMark().split('.')
    t.equal(writerState(`${place}.${pid}.1`), 'dead', 'the same PID, given to another program later')
  },
)

t.test('prune removes what dead writers and removers left, and only that', async (t) => {
  const folder = folderFor(t)
  const root = join(folder, 'store')
  const source = writeTree(join(folder, 'source'), { a: Buffer.from('a') })
  const store = createDirectoryStore({ name: 'disk', path: root, abandonedAfterMs: 60_000 })
  await store.put(sampleDraft(), source, never)
  const leave = (name: string, ageMs: number) => {
    const path = join(slotPath(root), name)
    mkdirSync(join(path, 'files'), { recursive: true })
    writeFileSync(join(path, 'files', 'pages'), 'x')
    const then = new Date(Date.now() - ageMs)
    for (const each of [join(path, 'files', 'pages'), join(path, 'files'), path]) utimesSync(each, then, then)
    return path
  }
  const dead = leave(partialName('one', markOfTheDead()), 0)
  const alive = leave(partialName('two', ownWriterMark()), 3_600_000)
  const abandoned = leave(partialName('three', elsewhere), 120_000)
  const foreign = leave(partialName('four', elsewhere), 30_000)
  const busy = leave(partialName('five', elsewhere), 120_000)
  writeFileSync(join(busy, 'files', 'pages'), 'more')
  const trash = leave(trashName('six'), 0)
  const unknown = leave('.snapshot', 3_600_000)
  t.same((await store.prune(slot, 3, never)).removed, [])
  t.same([dead, abandoned, trash].map(existsSync), [false, false, false])
  t.same([alive, foreign, busy, unknown].map(existsSync), [true, true, true, true])
  t.equal(leftovers(root).length, 4, 'no probe is left')
})

t.test('any two lineages lie in different folders with safe names', async () => {
  const texts = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.string(),
    fc.string({ minLength: 150, maxLength: 600 }),
  )
  fc.assert(
    fc.property(texts, texts, (a, b) => {
      const [one, other] = [encodeName(a), encodeName(b)]
      const safe = /^[A-Za-z0-9_%~+-][A-Za-z0-9_%~+.-]*$/.test(one) && one.length <= 255
      return safe && (a === b || one !== other)
    }),
  )
})

t.test('what Kubernetes allows in names stays readable', async (t) => {
  t.equal(encodeName('ml-team/StatefulSet/train.v2/0'), 'ml-team+StatefulSet+train.v2+0')
  t.equal(encodeName('..'), '%2e.')
  t.equal(encodeName('a+b%c'), 'a%2bb%25c')
  t.equal(encodeName(''), '%')
})
