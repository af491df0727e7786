/** Objects in a folder: the suite, and what only folders have. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { link, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createDirectoryObjects } from '../../src/objects/directory.ts'
import { nameFile } from '../../src/objects/name-file.ts'
import { sweepPartials } from '../../src/objects/sweep-partials.ts'
import { folderFor } from '../store/samples.ts'
import { all, conformance } from './conformance.ts'
import { staleMount } from './stale-mount.ts'
import { objectBytes } from './writer-process.ts'

const never = { signal: new AbortController().signal }
const kills = 8
const bytes = (text: string) => [Buffer.from(text)]

function opened(t: Test) {
  const path = join(folderFor(t), 'store')
  return { path, objects: createDirectoryObjects({ name: 'disk', path }) }
}

t.test('a folder does as every store of objects', async (t) => {
  const { objects, path } = opened(t)
  conformance(t, () => Promise.resolve({ objects, conditional: true }))
  t.test('and no temporary file is left by all that', async (t) => {
    const names = readdirSync(path, { recursive: true, encoding: 'utf8' })
    t.same(names.filter((name) => name.includes('~')), []) // prettier-ignore
  })
})

t.test('what a killed writer has left is no object, and its folder is not removed', async (t) => {
  const { objects, path } = opened(t)
  await objects.put('a/b', bytes('b'), never)
  writeFileSync(join(path, 'a/~c.0123456789ab'), 'half of it')
  t.same((await all(objects.list('', never))).map(({ key }) => key), ['a/b']) // prettier-ignore
  await objects.remove(['a/b'], never)
  t.ok(existsSync(join(path, 'a/~c.0123456789ab')))
})

t.test(
  'writers that are killed at any instant leave whole objects, and nothing that a sweep leaves',
  async (t) => {
    const { objects, path } = opened(t)
    mkdirSync(path)
    const writer = join(import.meta.dirname, 'writer-process.ts')
    let swept = 0
    for (let round = 0; round < kills; round++) {
      const child = spawn(process.execPath, [writer, path, String(round)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const exited = once(child, 'exit')
      // It says so when it begins.
      await once(child.stdout, 'data')
      await sleep(Math.random() * 40)
      child.kill('SIGKILL')
      await exited
      for (const { key, bytes: size } of await all(objects.list('', never))) {
        const seen = await objects.get(key, never)
        t.ok(size === objectBytes && seen.equals(Buffer.alloc(objectBytes, seen[0])), `${key} is whole`)
      }
      swept += await sweepPartials({ name: 'disk', path, olderThanMs: 0, ...never })
      const names = readdirSync(path, { recursive: true, encoding: 'utf8' })
      t.notOk(names.some((name) => name.includes('~'))) // prettier-ignore
    }
    t.comment(`${swept} files of ${kills} killed writers were swept`)
    writeFileSync(join(path, '~k.0123456789ab'), 'of a writer that lives')
    t.equal(await sweepPartials({ name: 'disk', path, olderThanMs: 60_000, ...never }), 0)
    t.ok(existsSync(join(path, '~k.0123456789ab')))
  },
)

t.test('folders that are empty are removed, beside a writer into them as well', async (t) => {
  const { objects, path } = opened(t)
  await objects.put('a/b/c', bytes('c'), never)
  await objects.remove(['a/b/c'], never)
  t.same(readdirSync(path), [])
  // Writers that make a folder while others remove it.
  const writer = async (name: string) => {
    for (let round = 0; round < 40; round++) {
      await objects.put(`x/y/${name}`, bytes(`${name} ${round}`), never)
      t.equal((await objects.get(`x/y/${name}`, never)).toString(), `${name} ${round}`)
      await objects.remove([`x/y/${name}`], never)
    }
  }
  await Promise.all(['a', 'b', 'c'].map(writer))
  t.same(readdirSync(path), [])
})

t.test('links, pipes and folders in the place of objects are not followed', async (t) => {
  const { objects, path } = opened(t)
  const outside = folderFor(t)
  writeFileSync(join(outside, 'secret'), 'secret')
  mkdirSync(join(path, 'folder/below'), { recursive: true })
  symlinkSync(outside, join(path, 'link'))
  symlinkSync(join(outside, 'secret'), join(path, 'file-link'))
  execFileSync('mkfifo', [join(path, 'pipe')])
  for (const key of ['file-link', 'pipe', 'folder'])
    await t.rejects(objects.get(key, never), { code: 'object-missing' }, key)
  for (const work of [
    (): Promise<unknown> => objects.get('link/secret', never),
    () => objects.put('link/new/x', bytes('x'), never),
    () => objects.remove(['link/secret'], never),
  ])
    await t.rejects(work(), { code: 'key-invalid', message: /symbolic link/ })
  await objects.put('file-link', bytes('an object now'), never)
  t.equal(readFileSync(join(outside, 'secret'), 'utf8'), 'secret')
  t.same(readdirSync(outside), ['secret'])
  t.same((await all(objects.list('', never))).map(({ key }) => key), ['file-link']) // prettier-ignore
  await objects.remove(['folder'], never)
  t.ok(existsSync(join(path, 'folder/below')))
})

t.test('a key that is a folder of others is refused by its own error', async (t) => {
  const { objects } = opened(t)
  await objects.put('a/b', bytes('b'), never)
  await t.rejects(objects.put('a', bytes('a'), never), { code: 'key-invalid', data: { errno: 'EISDIR' } })
  await t.rejects(objects.put('a/b/c', bytes('c'), never), { code: 'key-invalid', data: { errno: 'EEXIST' } }) // prettier-ignore
  await t.rejects(objects.get('a/b/c', never), { code: 'object-missing' })
})

t.test('a full disk and a read-only one have errors of their own, and lose nothing', async (t) => {
  const disk = folderFor(t)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'reprieve-test', disk])
  t.teardown(() => execFileSync('umount', [disk]))
  const objects = createDirectoryObjects({ name: 'small', path: disk })
  await objects.put('a/kept', [Buffer.alloc(1 << 20, 1)], never)
  for (const ifAbsent of [false, true])
    await t.rejects(objects.put(`a/${ifAbsent ? 'new' : 'kept'}`, [Buffer.alloc(6 << 20)], { ...never, ifAbsent }), {
      code: 'store-full',
      message: /store "small" failed to put the object a\/\w+: it is full/,
      data: { errno: 'ENOSPC' },
    }) // prettier-ignore
  t.same(readdirSync(join(disk, 'a')), ['kept'], 'what was written of it is removed')
  t.equal((await objects.get('a/kept', never)).length, 1 << 20)
  execFileSync('mount', ['-o', 'remount,ro', disk])
  await t.rejects(objects.put('a/new', bytes('x'), never), { code: 'store-denied', message: /mounted read-only/ }) // prettier-ignore
  await t.rejects(objects.remove(['a/kept'], never), { code: 'store-denied', data: { errno: 'EROFS' } })
})

const failing = (code: string) => Object.assign(new Error(code), { code })

t.test('a call that NFS has done and then failed, because its answer was lost, counts as done', async (t) => {
  const folder = folderFor(t)
  const calls = {
    link: (async (from: string, to: string) => (await link(from, to), Promise.reject(failing('EEXIST')))) as typeof link,
    rename: (async (from: string, to: string) => (await rename(from, to), Promise.reject(failing('ENOENT')))) as typeof rename,
  } // prettier-ignore
  for (const replace of [false, true]) {
    const [temporary, path] = [join(folder, `~${replace}`), join(folder, `new-${replace}`)]
    const file = await open(temporary, 'wx')
    t.equal(
      await nameFile(file, { temporary, path, replace, calls }),
      true,
      'it is this file that has the name',
    )
    await file.close()
  }
  const [temporary, path] = [join(folder, '~other'), join(folder, 'taken')]
  writeFileSync(path, 'of another')
  const file = await open(temporary, 'wx')
  t.equal(await nameFile(file, { temporary, path, replace: false }), false, "another's file keeps the name")
  await t.rejects(nameFile(file, { temporary: join(folder, '~gone'), path, replace: true }), {
    code: 'ENOENT',
  })
  await file.close()
  t.equal(readFileSync(path, 'utf8'), 'of another')
})

t.test('without hard links nothing is put by ifAbsent rather than by chance over another', async (t) => {
  const folder = folderFor(t)
  const refused = Object.assign(new Error('not permitted'), { code: 'EPERM' })
  const calls = { link: () => Promise.reject(refused), rename }
  const [temporary, path] = [join(folder, '~temporary'), join(folder, 'new')]
  const file = await open(temporary, 'wx')
  await t.rejects(nameFile(file, { temporary, path, replace: false, calls }), { code: 'conditions-ignored', message: /has no hard links/ }) // prettier-ignore
  await file.close()
  t.notOk(existsSync(path))
})

t.test('a folder that its server has lost has an error of its own, after few tries', async (t) => {
  const path = folderFor(t)
  const mount = staleMount(t, path, Number.POSITIVE_INFINITY)
  const objects = createDirectoryObjects({ name: 'nfs', path })
  const stale = { code: 'store-stale', message: /store "nfs" failed to .*: mount it anew/, data: { errno: 'ESTALE' } } // prettier-ignore
  await t.rejects(objects.put('a', bytes('a'), { ...never, ifAbsent: true }), stale)
  await t.rejects(objects.put('a/b', bytes('b'), never), stale)
  await t.rejects(objects.get('a', never), stale)
  await t.rejects(all(objects.list('', never)), stale)
  await t.rejects(objects.remove(['a'], never), stale)
  t.ok(mount.asked() < 200, `${mount.asked()} calls`)
})

t.test('a file that its server has lost is looked for anew', async (t) => {
  const path = folderFor(t)
  // The kernel asks twice for each call of ours.
  staleMount(t, path, 3)
  const objects = createDirectoryObjects({ name: 'nfs', path })
  await t.rejects(objects.get('a', never), { code: 'object-missing' })
})
