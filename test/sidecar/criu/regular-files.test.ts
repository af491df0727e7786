import { linkSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { encodeMessage, encodeNumber } from '../../../sidecar/criu/protobuf.ts'
import { stopComparing, withoutComparison, writersByPath } from '../../../sidecar/criu/regular-files.ts'
import { imageOf } from './image-of.ts'

/** images/regfile.proto and fdinfo.proto, REG. */
type Regular = { flags?: number; name: string; size?: number; mode?: number; buildId?: number[] }

function regular({ flags = 0, name, size, mode, buildId = [] }: Regular): Buffer {
  const owner = encodeMessage(5, Buffer.concat([1, 2, 3, 4, 5].map((field) => encodeNumber(field, 0))))
  const fields = [
    encodeNumber(1, 9),
    encodeNumber(2, flags),
    encodeNumber(3, 7),
    owner,
    encodeMessage(6, Buffer.from(name)),
    ...(size === undefined ? [] : [encodeNumber(8, size)]),
    ...(mode === undefined ? [] : [encodeNumber(10, mode)]),
    ...buildId.map((part) => encodeNumber(11, part)),
  ]
  return Buffer.concat([encodeNumber(1, 1), encodeNumber(2, 9), encodeMessage(3, Buffer.concat(fields))])
}
const pipe = Buffer.concat([encodeNumber(1, 2), encodeNumber(2, 9), encodeMessage(17, encodeNumber(1, 9))])
const program = { name: '/data/lib.so', size: 30, mode: 0o100755, buildId: [1, 2 ** 31] }
const log = { name: '/data/log', size: 30, mode: 0o100644 }

function folderOf(t: Test, image: Buffer): string {
  const folder = mkdtempSync(join(tmpdir(), 'reprieve-regular-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'files.img'), image)
  return folder
}
type Test = { teardown: (work: () => unknown) => void }

t.test('a file is compared no more, and nothing else of the image changes', async (t) => {
  const image = imageOf(pipe, regular(log), regular({ ...log, name: '/own' }), regular(program))
  const changed = withoutComparison(image, (path) => (path === '/own' ? 'all' : 'nothing'))
  const bare = [{ name: log.name }, { name: program.name, buildId: program.buildId }].map(regular)
  t.same(changed, {
    changed: 2,
    image: imageOf(pipe, bare[0] as Buffer, regular({ ...log, name: '/own' }), bare[1] as Buffer),
  })
})

t.test('a program is compared by its build still, where that is asked for', async (t) => {
  const image = imageOf(regular(log), regular(program))
  t.same(
    withoutComparison(image, () => 'programs'),
    {
      changed: 1,
      image: imageOf(regular({ name: log.name }), regular(program)),
    },
  )
  t.equal(
    withoutComparison(imageOf(regular(program), pipe), () => 'programs'),
    undefined,
  )
  t.equal(
    withoutComparison(imageOf(regular({ name: '/appended' })), () => 'nothing'),
    undefined,
  )
})

t.test('the file of a dump is replaced, so that its other name keeps what it holds', async (t) => {
  const image = imageOf(regular(log))
  const folder = folderOf(t, image)
  linkSync(join(folder, 'files.img'), join(folder, 'stored'))
  t.equal(await stopComparing(folder, () => 'nothing'), 1)
  t.ok(readFileSync(join(folder, 'files.img')).equals(imageOf(regular({ name: log.name }))))
  t.ok(readFileSync(join(folder, 'stored')).equals(image))
  t.equal(await stopComparing(folder, () => 'nothing'), 0, 'once')
  t.same(readdirSync(folder).sort(), ['files.img', 'stored'])
  writeFileSync(join(folder, 'files.img'), 'something else')
  await t.rejects(
    stopComparing(folder, () => 'nothing'),
    /does not begin as/,
  )
})

t.test('the descriptions that may write to a file are counted', async (t) => {
  const [readOnly, writeOnly, readAndWrite, appending] = [0o100000, 0o100001, 0o100002, 0o102001]
  const entries = [readOnly, writeOnly, appending].map((flags) => regular({ flags, name: '/data/log' }))
  entries.push(
    pipe,
    regular({ flags: readAndWrite, name: '/data/é' }),
    regular({ flags: readOnly, name: '/data/r' }),
  )
  t.same(await writersByPath(folderOf(t, imageOf(...entries))), new Map([['/data/log', 2], ['/data/é', 1]])) // prettier-ignore
})
