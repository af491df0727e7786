import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createDirectoryStore } from '../../src/store/directory.ts'
import { settleAfterAbort } from '../../src/store/settle-after-abort.ts'
import { folderFor, leftovers, never, sampleDraft, slot, writeTree } from './samples.ts'

/** It takes no room, and is large enough to be in the middle of it. */
async function largeSource(folder: string, mebibytes: number): Promise<string> {
  const source = writeTree(join(folder, 'source'), { small: Buffer.from('x') })
  const file = await open(join(source, 'large'), 'w')
  await file.truncate(mebibytes * 2 ** 20)
  await file.close()
  return source
}

for (const transfer of ['copy', 'link-or-copy'] as const) {
  t.test(`an aborted put is cut short and leaves nothing (${transfer})`, async (t) => {
    const folder = folderFor(t)
    const store = createDirectoryStore({ name: 'disk', path: join(folder, 'store'), transfer })
    const source = await largeSource(folder, 2_048)
    for (const afterMs of [0, 5, 20, 60]) {
      const abort = new AbortController()
      const put = store.put(sampleDraft(), source, abort.signal)
      const rejected = t.rejects(put, { code: 'store-failed', message: /aborted/, data: { aborted: true } })
      await sleep(afterMs)
      abort.abort(new Error('the pod is told to end'))
      await rejected
    }
    t.same(await store.list(slot, never), { manifests: [], unreadable: [] })
    t.same(leftovers(join(folder, 'store')), [])
  })
}

t.test('an aborted fetch is cut short and leaves nothing', async (t) => {
  const folder = folderFor(t)
  const store = createDirectoryStore({ name: 'disk', path: join(folder, 'store') })
  const { manifest } = await store.put(sampleDraft(), await largeSource(folder, 256), never)
  const abort = new AbortController()
  const fetch = store.fetch(manifest, join(folder, 'target'), abort.signal)
  await sleep(20)
  abort.abort()
  await t.rejects(fetch, { code: 'store-failed', data: { aborted: true } })
  t.notOk(existsSync(join(folder, 'target')))
})

t.test('whatever is asked with an aborted signal is refused before it begins', async (t) => {
  const path = join(folderFor(t), 'store')
  const store = createDirectoryStore({ name: 'disk', path })
  const aborted = AbortSignal.abort()
  const refused = { code: 'store-failed', data: { aborted: true } }
  await t.rejects(store.list(slot, aborted), refused)
  await t.rejects(store.prune(slot, 1, aborted), refused)
  await t.rejects(store.removeBefore(slot, '2026-01-01T00:00:00.000Z', aborted), refused)
  await t.rejects(store.readRecord(slot, aborted), refused)
  await t.rejects(store.writeRecord(slot, { version: 1, trials: {} }, aborted), refused)
  t.notOk(existsSync(path))
})

t.test('the caller of a call that hangs in the file system is told after the grace', async (t) => {
  const abort = new AbortController()
  const hung = new Promise<never>(() => undefined)
  const waited = t.rejects(settleAfterAbort(hung, abort.signal, 50), {
    message: /no call of the file system returned within 50 ms/,
  })
  abort.abort()
  await waited
  await t.rejects(settleAfterAbort(hung, AbortSignal.abort(), 10), { message: /within 10 ms/ })
  t.equal(
    await settleAfterAbort(Promise.resolve(7), abort.signal, 10),
    7,
    'work that ends in time decides itself',
  )
})
