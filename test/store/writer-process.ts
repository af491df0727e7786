/**
 * A process that writes to a store until it is killed, or as often as it was told:
 * `writer-process.ts ROOT SOURCE TRANSFER COUNT [KEEP]`. Says `ready`, then each id that was stored.
 */
import { createDirectoryStore } from '../../src/store/directory.ts'
import { makeCheckpointId } from '../../src/checkpoint-id.ts'
import { never, sampleDraft, slot } from './samples.ts'

const [path = '', source = '', transfer = 'copy', count = '1', keep] = process.argv.slice(2)
const store = createDirectoryStore({
  name: 'disk',
  path,
  transfer: transfer === 'copy' ? 'copy' : 'link-or-copy',
})
process.stdout.write('ready\n')
for (let done = 0; done < Number(count); done++) {
  const now = new Date()
  await store.put(sampleDraft({ id: makeCheckpointId(now), createdAt: now.toISOString() }), source, never)
  if (keep !== undefined) await store.prune(slot, Number(keep), never)
  process.stdout.write('stored\n')
}
