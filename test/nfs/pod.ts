/**
 * The part of a pod that holds a slot, as a process of its own: `pod.ts STORE SOURCE UID`. Does what each line of its input says (`take`, `put`)
 * and answers each with a line of JSON. It beats every half second.
 */
import { createInterface } from 'node:readline'
import { createDirectoryStore } from '../../src/store/directory.ts'
import { makeCheckpointId } from '../../src/checkpoint-id.ts'
import { lockIn } from '../sidecar/stand-ins.ts'
import { never, sampleDraft } from '../store/samples.ts'
import { nfsSlot } from './slot.ts'

const [path = '', source = '', uid = ''] = process.argv.slice(2)
const store = createDirectoryStore({ name: uid, path })
const lock = lockIn(store, uid, { times: { beatMs: 500 } })
const say = (answer: object) => process.stdout.write(`${JSON.stringify(answer)}\n`)

for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'take') say(await lock.await(never))
  else if (line === 'put') {
    const now = new Date()
    const draft = sampleDraft({ id: makeCheckpointId(now), createdAt: now.toISOString(), slot: nfsSlot })
    say(
      await store.put(draft, source, never).then(
        ({ manifest: { id, epoch } }) => ({ stored: id, epoch }),
        (error: { code: string }) => ({ refused: error.code }),
      ),
    )
  } else say(lock.status)
}
