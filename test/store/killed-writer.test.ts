import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { until } from '../until.ts'
import { createDirectoryStore } from '../../src/store/directory.ts'
import {
  differences,
  folderFor,
  leftovers,
  never,
  readTree,
  sampleDraft,
  sampleFiles,
  slot,
  takes,
  writeTree,
} from './samples.ts'

const program = join(import.meta.dirname, 'writer-process.ts')

function startWriter(...args: string[]): ChildProcess {
  return spawn(process.execPath, [program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
}

t.test(
  'a writer killed at 60 random instants never leaves half a checkpoint, nor harms an earlier one',
  async (t) => {
    // In memory: of a process that is killed the kernel loses nothing, and a disk is waited for a thousand times.
    const folder = folderFor(t, '/dev/shm')
    const root = join(folder, 'store')
    const source = writeTree(join(folder, 'source'), sampleFiles)
    const store = createDirectoryStore({ name: 'disk', path: root })
    const began = performance.now()
    const { manifest: first } = await store.put(sampleDraft(), source, never)
    const putMs = performance.now() - began
    const broken: string[] = []
    let partials = 0
    const holds = async (round: number, delayMs: number) => {
      const { manifests, unreadable } = await store.list(slot, never)
      for (const { id, reason } of unreadable) broken.push(`round ${round}, ${delayMs} ms: ${id} ${reason}`)
      if (!manifests.some(({ id }) => id === first.id))
        broken.push(`round ${round}: the first checkpoint is gone`)
      for (const manifest of manifests) {
        const target = join(folder, 'target')
        await store.fetch(manifest, target, never)
        const wrong = differences(readTree(target), sampleFiles)
        if (wrong.length > 0)
          broken.push(`round ${round}, ${delayMs} ms: ${manifest.id} differs in ${wrong.join()}`)
        rmSync(target, { recursive: true })
      }
      return manifests
    }
    let landed = 0
    for (let round = 0; round < 60; round++) {
      const writer = startWriter(root, source, round % 2 === 0 ? 'copy' : 'link-or-copy', '1000000')
      if (writer.stdout === null) throw new Error('it has no output')
      await once(writer.stdout, 'data')
      // Over about three puts, however fast this machine is; in every fourth round one has landed before.
      if (round % 8 > 5) await once(writer.stdout, 'data')
      const delayMs = Math.random() * 3 * putMs
      await sleep(delayMs)
      writer.kill('SIGKILL')
      await once(writer, 'exit')
      const manifests = await holds(round, delayMs)
      landed += manifests.length - 1
      if (leftovers(root).length > 0) partials++
      // The young ones go, so that each round verifies few; what the killed writer left goes with them.
      const young = manifests.filter(({ id }) => id !== first.id)
      for (const { id } of young)
        rmSync(join(root, 'ml-team+StatefulSet+train+0', 'main', id), { recursive: true })
      await takes(store)
      await store.prune(slot, 1, never)
      if (leftovers(root).length > 0) broken.push(`round ${round}: prune left ${leftovers(root).join()}`)
    }
    t.same(broken, [])
    t.ok(
      partials > 5 && landed > 5,
      `the instants were spread: ${partials} killed amid a put, ${landed} puts landed`,
    )
    t.comment(
      `60 kills: ${partials} amid a put, ${landed} checkpoints landed, ${60 - broken.length} rounds held`,
    )
  },
)

t.test('two processes that take one slot from each other, write and prune it do not harm it', async (t) => {
  const folder = folderFor(t)
  const root = join(folder, 'store')
  const source = writeTree(join(folder, 'source'), sampleFiles)
  const store = createDirectoryStore({ name: 'disk', path: root })
  const writers = [
    startWriter(root, source, 'copy', '25', '3'),
    startWriter(root, source, 'link-or-copy', '25', '3'),
  ]
  const state = { running: true }
  let said = ''
  for (const { stdout } of writers) stdout?.on('data', (text) => (said += String(text)))
  await until('both to be ready', () => said.split('ready').length > 2)
  for (const { stdin } of writers) stdin?.end('begin\n')
  const ended = Promise.all(writers.map((writer) => once(writer, 'exit'))).finally(
    () => (state.running = false),
  )
  let [lists, fetches, pruned] = [0, 0, 0]
  for (; state.running; lists++) {
    const { manifests, unreadable } = await store.list(slot, never)
    if (unreadable.length > 0) t.same(unreadable, [], 'what is being pruned is not called unreadable')
    // The oldest is the next to be pruned, the newest is there for longer.
    const found = manifests.at(lists % 2 === 0 ? -1 : 0)
    if (found === undefined) continue
    const target = join(folder, 'target')
    try {
      await store.fetch(found, target, never)
      fetches++
      if (differences(readTree(target), sampleFiles).length > 0) t.fail(`${found.id} came back different`)
    } catch (error) {
      // It was pruned under us: that is said, and never called corrupt.
      t.match(error, { code: 'store-failed', message: /not in the store/ })
      pruned++
    }
    rmSync(target, { recursive: true, force: true })
  }
  t.same(
    await ended,
    [
      [0, null],
      [0, null],
    ],
    'each write succeeded, or was refused because the other process had the slot',
  )
  const { manifests } = await store.list(slot, never)
  const epochs = manifests.map(({ epoch = 0 }) => epoch)
  t.same(
    epochs,
    [...new Set(epochs)].toSorted((one, other) => other - one),
    'nothing of an earlier epoch was published in a later one',
  )
  const count = (word: string) => said.split(word).length - 1
  t.ok(count('stored') > 0 && count('fenced') > 0, `${count('stored')} stored, ${count('fenced')} fenced`)
  for (const manifest of manifests) {
    const target = join(folder, manifest.id)
    await store.fetch(manifest, target, never)
    t.same(differences(readTree(target), sampleFiles), [])
  }
  await takes(store)
  await store.prune(slot, 3, never)
  t.same(leftovers(root), [])
  t.ok(lists > 5 && fetches > 0, `${lists} lists, ${fetches} fetches beside them, ${pruned} met a prune`)
})
