import { mkdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { draftNote, readNote, settleNote, type VolumeNote } from '../../../sidecar/volumes/volume-note.ts'

const head: VolumeNote = {
  createdAt: '2026-01-02T03:04:05.000Z',
  volumes: [{ device: '8:1', root: '/volumes/日本 ü' }],
}

t.test('a note comes back as it was written, and counts for nothing before', async (t) => {
  const at = { run: t.testdir({ app: {} }) }
  t.equal(await readNote('app', undefined, at), undefined)
  // Names are bytes, each a character.
  const files = [['8:1 /a b', '1.5'], ['8:1 /\xff\xe6\n', '2.0']] as const // prettier-ignore
  await draftNote('app', head, async (each) => files.forEach(([name, changed]) => each(name, changed)), at)
  t.equal(await readNote('app', undefined, at), undefined)
  await settleNote('app', at)
  t.strictSame(await readNote('app', undefined, at), head)
  const heard: string[][] = []
  t.strictSame(await readNote('app', (...file) => heard.push(file), at), head)
  t.strictSame(heard, files)
})

t.test('a million files need little memory', async (t) => {
  const at = { run: t.testdir() }
  mkdirSync(`${at.run}/app`)
  const count = 300_000
  let mostBytes = 0
  const look = (index: number) => {
    if (index % 10_000 === 0) mostBytes = Math.max(mostBytes, process.memoryUsage().heapUsed)
  }
  const fill = async (each: (name: string, changed: string) => void) => {
    for (let index = 0; index < count; index++) {
      each(`8:1 /a/folder/with/a/long/name/${index}`, '1767323045.1234567890')
      look(index)
    }
  }
  const before = process.memoryUsage().heapUsed
  await draftNote('app', head, fill, at)
  await settleNote('app', at)
  let heard = 0
  await readNote('app', () => look(++heard), at)
  t.equal(heard, count)
  t.equal(readFileSync(`${at.run}/app/volumes.note`).filter((byte) => byte === 0).length, count)
  t.ok(mostBytes - before < 64 * 2 ** 20, `${mostBytes - before} bytes`)
})
