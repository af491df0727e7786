/** What init containers of this pod made is not overwritten by what those of the old pod made. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { join } from 'node:path'
import t from 'tap'
import { encodeMessage, encodeNumber } from '../../../sidecar/criu/protobuf.ts'
import { imageOf } from '../criu/image-of.ts'
import { container, unpack, undo } from './unpack-stage.ts'

/** images/fdinfo.proto and regfile.proto, REG. */
const held = (path: string) =>
  Buffer.concat([
    encodeNumber(1, 1),
    encodeNumber(2, 9),
    encodeMessage(3, encodeMessage(6, Buffer.from(path))),
  ])

const filesOf = (folder: string) =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]))

const listed = (paths: string[]) => paths.map((path) => `${path}\0`).join('')

const odd = ['star*', 'back\\slash', '#hash', 'ends with space ', 'line\nend', 'é']
const names = ['token', 'changed', 'held', 'gone', 'late', ...odd]

t.test('a file of today stays where the application neither changed nor held the old one', async (t) => {
  const folder = t.testdir({})
  const paths = names.map((name) => join(folder, name))
  for (const path of paths) writeFileSync(path, 'old')
  execFileSync('tar', ['--create', '--absolute-names', `--file=${folder}.tar`, ...paths])
  for (const path of paths) writeFileSync(path, 'of today')
  for (const name of ['gone', 'late']) rmSync(join(folder, name))
  // The launcher begins when init containers have ended; its start is known to a hundredth of a second.
  await delay(100)
  const { pid, checkpoint } = await container(t)
  await delay(100)
  writeFileSync(join(folder, 'late'), 'by a neighbour')
  const before = filesOf(folder)
  execFileSync('mv', [`${folder}.tar`, join(checkpoint, 'ephemeral.tar')])
  writeFileSync(join(checkpoint, 'ephemeral.list'), listed(paths))
  writeFileSync(
    join(checkpoint, 'unchanged.list'),
    listed(paths.filter((path) => !path.endsWith('/changed'))),
  )
  mkdirSync(join(checkpoint, 'criu'))
  writeFileSync(join(checkpoint, 'criu/files.img'), imageOf(held(join(folder, 'held'))))
  t.ok(unpack(pid))
  const unpacked = new Set(['changed', 'held', 'gone', 'late', 'ends with space ', 'line\nend'])
  t.same(
    filesOf(folder),
    Object.fromEntries(names.map((name) => [name, unpacked.has(name) ? 'old' : 'of today'])),
  )
  t.ok(undo(pid))
  t.same(filesOf(folder), before, 'and a restore that fails leaves all of them')
})

t.test('an earlier life’s own work in the living pod is no file of today', async (t) => {
  const folder = t.testdir({})
  const path = join(folder, 'state')
  writeFileSync(path, 'as at the checkpoint')
  execFileSync('tar', ['--create', '--absolute-names', `--file=${folder}.tar`, path])
  const firstStartMs = Date.now()
  await delay(100)
  writeFileSync(path, 'written after it, before the crash')
  await delay(100)
  // The container's second launcher in this pod.
  const { pid, volume, checkpoint } = await container(t)
  mkdirSync(join(volume, 'run/app'), { recursive: true })
  writeFileSync(join(volume, 'run/app/first-start'), String(firstStartMs))
  execFileSync('mv', [`${folder}.tar`, join(checkpoint, 'ephemeral.tar')])
  for (const name of ['ephemeral.list', 'unchanged.list'])
    writeFileSync(join(checkpoint, name), listed([path]))
  mkdirSync(join(checkpoint, 'criu'))
  writeFileSync(join(checkpoint, 'criu/files.img'), imageOf(held('/elsewhere')))
  t.ok(unpack(pid))
  t.equal(readFileSync(path, 'utf8'), 'as at the checkpoint')
})
