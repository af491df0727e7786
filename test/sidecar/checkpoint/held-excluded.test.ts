import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, copyFileSync, linkSync, mkdirSync, mkdtempSync, openSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs' // prettier-ignore
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { ReprieveError } from '../../../src/errors.ts'
import {
  excludedHold,
  requireNoneExcluded,
  requireNoneWatched,
} from '../../../sidecar/checkpoint/held-excluded.ts'

/** Of this very process: the folder is excluded, and everything in it is younger than the application. */
const folderOf = (t: Test) => {
  const folder = mkdtempSync('/var/tmp/reprieve-excluded-')
  t.teardown(() => rmSync(folder, { recursive: true }))
  const pids = [process.pid]
  return { folder, held: () => excludedHold({ pids, excluded: [folder], sinceMs: 0 })?.path }
}

const opened = (t: Test, path: string) => {
  const fd = openSync(path, 'r')
  t.teardown(() => closeSync(fd))
}

t.test('a file, a folder and a socket below an excluded path are found', async (t) => {
  await t.test('file', async (t) => {
    const { folder, held } = folderOf(t)
    writeFileSync(`${folder}/f`, 'x')
    t.equal(held(), undefined, 'it is not open')
    opened(t, `${folder}/f`)
    t.equal(held(), `${folder}/f`)
    t.equal(excludedHold({ pids: [process.pid], excluded: [`${folder}/f`], sinceMs: 0 })?.path, `${folder}/f`)
    t.equal(excludedHold({ pids: [process.pid], excluded: [folder.slice(0, -1)], sinceMs: 0 }), undefined) // prettier-ignore
    t.throws(() => requireNoneExcluded({ pids: [process.pid], excluded: [folder], sinceMs: 0 }), {
      code: 'dump-failed',
      data: { obstacle: 'holds-excluded-file' },
    } satisfies Partial<ReprieveError>)
  })
  await t.test('folder', async (t) => {
    const { folder, held } = folderOf(t)
    mkdirSync(`${folder}/run-1`)
    opened(t, folder)
    t.equal(held(), undefined, 'the excluded folder itself travels')
    opened(t, `${folder}/run-1`)
    t.equal(held(), `${folder}/run-1`)
  })
  await t.test('socket', async (t) => {
    const { folder, held } = folderOf(t)
    mkdirSync(`${folder}/run-1`)
    for (const [path, found] of [
      [`${folder}/s`, undefined],
      [`${folder}/run-1/s`, `${folder}/run-1`],
    ] as const) {
      // prettier-ignore
      const server = createServer().listen(path)
      await once(server, 'listening')
      t.equal(held(), found)
      server.close()
      await once(server, 'close')
    }
  })
  await t.test('program, and working directory', async (t) => {
    const { folder } = folderOf(t)
    mkdirSync(`${folder}/run-1`)
    copyFileSync('/bin/sleep', `${folder}/sleep`)
    for (const [program, cwd, found] of [
      ['/bin/sleep', `${folder}/run-1`, `${folder}/run-1`],
      [`${folder}/sleep`, '/', `${folder}/sleep`],
    ] as const) {
      // prettier-ignore
      const child = spawn(program, ['1000'], { cwd, stdio: 'ignore' })
      await once(child, 'spawn')
      t.equal(excludedHold({ pids: [child.pid ?? 0], excluded: [folder], sinceMs: 0 })?.path, found)
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  })
})

t.test('a file without a name is in the images, but not where it has another name', async (t) => {
  const { folder, held } = folderOf(t)
  writeFileSync(`${folder}/f`, 'x')
  opened(t, `${folder}/f`)
  linkSync(`${folder}/f`, `${folder}/other`)
  unlinkSync(`${folder}/f`)
  t.equal(held(), `${folder}/f (deleted)`)
  unlinkSync(`${folder}/other`)
  t.equal(held(), undefined)
})

t.test('what was there before the application is there again', async (t) => {
  const { folder } = folderOf(t)
  mkdirSync(`${folder}/weights`)
  writeFileSync(`${folder}/weights/f`, 'x')
  opened(t, `${folder}/weights`)
  opened(t, `${folder}/weights/f`)
  const { ctimeMs } = statSync(`${folder}/weights/f`)
  const held = (sinceMs: number) => excludedHold({ pids: [process.pid], excluded: [folder], sinceMs })?.path
  t.equal(held(ctimeMs + 1), undefined)
  writeFileSync(`${folder}/weights/new`, 'x')
  t.equal(held(ctimeMs + 1), undefined, 'an entry that is not open makes no difference')
  t.equal(held(ctimeMs - 1000), `${folder}/weights`)
})

t.test('an entry of a process that has ended, and no exclusion, are nothing', async (t) => {
  const { folder, held } = folderOf(t)
  writeFileSync(`${folder}/f`, 'x')
  opened(t, `${folder}/f`)
  t.equal(excludedHold({ pids: [2 ** 22 + 1], excluded: [folder], sinceMs: 0 }), undefined)
  t.equal(excludedHold({ pids: [process.pid], excluded: [], sinceMs: 0 }), undefined)
  t.equal(held(), `${folder}/f`)
})

t.test('what is watched below an excluded path is found, unless it was there before', async (t) => {
  const { folder } = folderOf(t)
  mkdirSync(`${folder}/run-1`)
  const watched = (paths: string[], sinceMs = 0) =>
    requireNoneWatched(paths, { pid: process.pid, excluded: [folder], sinceMs })
  t.throws(() => watched(['/etc', `${folder}/run-1`]), {
    code: 'dump-failed',
    data: { path: `${folder}/run-1` },
  } satisfies Partial<ReprieveError>)
  t.doesNotThrow(() => watched([folder, '/etc', `${folder}/gone`]))
  t.doesNotThrow(() => watched([`${folder}/run-1`], statSync(`${folder}/run-1`).birthtimeMs + 1))
})
