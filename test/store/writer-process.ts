/**
 * A process that writes to a store until it is killed, or as often as it was told:
 * `writer-process.ts ROOT SOURCE TRANSFER COUNT [KEEP]`. Says `ready`, then `stored` for each checkpoint. With KEEP it waits for a line of its
 * input first, takes the slot anew for each one, and says `fenced` where another process has taken it since.
 */
import { once } from 'node:events'
import { createDirectoryStore } from '../../src/store/directory.ts'
import { makeCheckpointId } from '../../src/checkpoint-id.ts'
import { ReprieveError } from '../../src/errors.ts'
import { never, sampleDraft, slot, takes } from './samples.ts'

const [path = '', source = '', transfer = 'copy', count = '1', keep] = process.argv.slice(2)
const store = createDirectoryStore({
  name: 'disk',
  path,
  transfer: transfer === 'copy' ? 'copy' : 'link-or-copy',
})
if (keep === undefined) await takes(store)
process.stdout.write('ready\n')
if (keep !== undefined) await once(process.stdin, 'data')
for (let done = 0; done < Number(count); done++) {
  try {
    if (keep !== undefined) await takes(store)
    const now = new Date()
    await store.put(sampleDraft({ id: makeCheckpointId(now), createdAt: now.toISOString() }), source, never)
    process.stdout.write('stored\n')
    if (keep !== undefined) await store.prune(slot, Number(keep), never)
  } catch (error) {
    if (!(error instanceof ReprieveError && error.code === 'lineage-fenced')) throw error
    process.stdout.write('fenced\n')
  }
}
