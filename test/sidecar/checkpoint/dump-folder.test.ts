/** Where a checkpoint is made while the store does not answer. */
import t from 'tap'
import { Deadline } from '../../../src/deadline.ts'
import { dumpFolder } from '../../../sidecar/checkpoint/dump-folder.ts'
import { ReprieveError } from '../../../src/errors.ts'
import type { Store } from '../../../src/store/store.ts'
import { standInStore } from '../stand-ins.ts'

const slot = { lineage: 'ns/Pod/p/0', container: 'app' }
const request = { afterwards: 'resume', deadline: Deadline.in(600_000) } as const
const folderWith = (draftFolder: Store['draftFolder']) =>
  dumpFolder(standInStore({ draftFolder }), slot, 'x', request)

t.test('a store that does not make a folder within seconds does without', async (t) => {
  const alive = setInterval(() => undefined, 1_000)
  t.teardown(() => clearInterval(alive))
  const folder = await folderWith(
    (_slot, _id, signal) =>
      new Promise((_, reject) => {
        const abort = () => reject(new ReprieveError('store-failed', 'cut short', { aborted: true }))
        signal.addEventListener('abort', abort)
      }),
  )
  t.equal(folder, '/reprieve/staging/app/x.dump')
})

t.test('into one that fails, or hangs, nothing is dumped in vain', async (t) => {
  for (const data of [{ errno: 'EROFS' }, { aborted: true, hangs: true }])
    await t.rejects(
      folderWith(() => Promise.reject(new ReprieveError('store-failed', 'told', data))),
      { message: 'told' },
    )
})
