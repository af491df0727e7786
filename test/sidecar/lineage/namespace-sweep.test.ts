/** A sidecar sweeps its own namespace, once an hour, and nothing that goes wrong there stops it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { NamespaceSweep } from '../../../sidecar/lineage/namespace-sweep.ts'
import type { EventLog } from '../../../src/log.ts'
import { createDirectoryStore } from '../../../src/store/directory.ts'
import { encodeName } from '../../../src/store/slot-folder.ts'
import { age, day } from '../../store/aged.ts'
import { folderFor, never, sampleDraft, writeTree } from '../../store/samples.ts'
import { quietLog } from '../quiet-log.ts'
import { standInStore } from '../stand-ins.ts'

const hourMs = 3_600_000
const slotOf = (lineage: string) => ({ lineage, container: 'main' })

t.test('what ended a week ago in its namespace goes, by one sweep an hour', async (t) => {
  const folder = folderFor(t)
  const root = join(folder, 'store')
  const source = writeTree(join(folder, 'source'), { a: Buffer.from('a') })
  const store = createDirectoryStore({ name: 'disk', path: root })
  const left = async (lineage: string, ageMs: number) => {
    const other = createDirectoryStore({ name: 'other', path: root })
    await other.put(sampleDraft({ slot: slotOf(lineage) }), source, never)
    writeFileSync(await other.lockFile(slotOf(lineage), never), '{}')
    age(join(root, encodeName(lineage)), ageMs)
  }
  const isThere = async (lineage: string) => (await store.list(slotOf(lineage), never)).manifests.length > 0
  await left('own/Job/old', 8 * day)
  await left('own/Job/young', 6 * day)
  await left('other/Job/old', 8 * day)
  const sweep = new NamespaceSweep(store, { namespace: 'own' }, quietLog)
  await sweep.sweep(0)
  t.same(await Promise.all(['own/Job/old', 'own/Job/young', 'other/Job/old'].map(isThere)), [
    false,
    true,
    true,
  ])
  await left('own/Job/old', 8 * day)
  await sweep.sweep(hourMs - 1)
  t.ok(await isThere('own/Job/old'), 'not yet')
  await sweep.sweep(hourMs)
  t.notOk(await isThere('own/Job/old'))
})

t.test('a store that cannot be swept is told', async (t) => {
  const events: string[] = []
  const heard = ({ event }: { event: string }) => events.push(event)
  const store = standInStore({ sweep: () => Promise.reject(new Error('read-only')) })
  const log = { ...quietLog, warn: heard } as unknown as EventLog
  await new NamespaceSweep(store, { namespace: 'own' }, log).sweep()
  t.same(events, ['store.not_swept'])
})
