/** What a restore brings into a container is taken back, also by a sidecar that knows of it from the staging volume only. */
import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  rmSync,
  unlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cgroupFolder } from '../../harness/cgroup.ts'
import { program } from '../stand-ins.ts'
import { until } from '../../until.ts'
import { container, life, unpack } from './unpack-stage.ts'

const filesOf = (folder: string) =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]))

const ofImage = { deleted: 'image', kept: 'image', replaced: 'image' }
const ofCheckpoint = { brought: 'later', kept: 'image', replaced: 'later' }

/** A tree as its image made it, and a checkpoint in which it is what `ofCheckpoint` says. */
function tree(t: Test, checkpoint: string): string {
  const folder = t.testdir({})
  const changed = ['brought', 'replaced'].map((name) => join(folder, name))
  for (const path of changed) writeFileSync(path, 'later')
  execFileSync('tar', ['--create', '--absolute-names', `--file=${checkpoint}/ephemeral.tar`, ...changed])
  writeFileSync(join(checkpoint, 'ephemeral.list'), changed.map((path) => `${path}\0`).join(''))
  writeFileSync(join(checkpoint, 'deleted.list'), `${join(folder, 'deleted')}\0`)
  rmSync(join(folder, 'brought'))
  for (const [name, text] of Object.entries(ofImage)) writeFileSync(join(folder, name), text)
  return folder
}

t.test('a sidecar takes back what an earlier life of it had unpacked when it died', async (t) => {
  const { pid, checkpoint } = await container(t)
  const folder = tree(t, checkpoint)
  t.ok(unpack(pid))
  t.strictSame(filesOf(folder), ofCheckpoint)
  t.ok(life(pid, pid, 'undo'))
  t.strictSame(filesOf(folder), ofImage)
  writeFileSync(join(folder, 'brought'), 'by the application')
  t.ok(life(pid, pid, 'undo'))
  t.equal(filesOf(folder).brought, 'by the application', 'once')
})

t.test('and what it had unpacked half', async (t) => {
  const { pid, checkpoint } = await container(t)
  const folder = tree(t, checkpoint)
  // After the first file.
  truncateSync(join(checkpoint, 'ephemeral.tar'), 3 * 512)
  t.notOk(unpack(pid))
  t.equal(filesOf(folder).deleted, undefined)
  t.not(filesOf(folder).brought, undefined)
  t.ok(life(pid, pid, 'undo'))
  t.strictSame(filesOf(folder), ofImage)
})

t.test(
  'what was there before the first of several attempts is put back, not what the first one brought',
  async (t) => {
    const { pid, checkpoint } = await container(t)
    const folder = tree(t, checkpoint)
    t.ok(unpack(pid))
    t.ok(unpack(pid))
    t.ok(life(pid, pid, 'undo'))
    t.strictSame(filesOf(folder), ofImage)
  },
)

t.test('nothing is taken back in a container that began since', async (t) => {
  const first = await container(t)
  const folder = tree(t, first.checkpoint)
  t.ok(unpack(first.pid))
  const enter = [`--mount=/proc/${first.pid}/ns/mnt`, 'sleep', '100']
  const next = await program(t, ['nsenter', ...enter], (pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith('sleep'),
  )
  t.ok(life(first.pid, next.pid, 'undo'))
  t.strictSame(filesOf(folder), ofCheckpoint)
  // And the next attempt there keeps what is there now, for an undo of its own.
  writeFileSync(join(folder, 'replaced'), 'of the next container')
  t.ok(life(first.pid, next.pid, 'unpack', '/reprieve/staging/app/id.fetched'))
  t.ok(life(first.pid, next.pid, 'undo'))
  t.equal(filesOf(folder).replaced, 'of the next container')
})

t.test(
  'what it writes is charged to the container: a page of a tmpfs counts for whoever wrote it',
  async (t) => {
    const { pid, volume, checkpoint } = await container(t)
    const name = `reprieve-unpack-${process.pid}`
    const cgroup = cgroupFolder(name, 'memory')
    mkdirSync(cgroup)
    writeFileSync(join(cgroup, 'cgroup.procs'), String(pid))
    t.teardown(async () => {
      process.kill(pid, 'SIGKILL')
      await until('the cgroup to be empty', () => readFileSync(join(cgroup, 'cgroup.procs'), 'utf8') === '')
      rmdirSync(cgroup)
    })
    const tar = join(volume, 'bin/tar')
    unlinkSync(tar)
    writeFileSync(tar, '#!/bin/sh\n/bin/cat /proc/self/cgroup >"/reprieve/$1"\nexec /usr/bin/tar "$@"\n', {
      mode: 0o755,
    })
    tree(t, checkpoint)
    t.ok(unpack(pid))
    const places = (word: string) =>
      readFileSync(join(volume, word), 'utf8')
        .split('\n')
        .filter((line) => line.includes(`/${name}`))
    t.not(places('--extract').length, 0)
    t.equal(places('--create').length, 0, 'but not what is kept in the staging volume')
  },
)
