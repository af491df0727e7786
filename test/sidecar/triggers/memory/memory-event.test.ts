import t from 'tap'
import type { Answered } from '../../../../sidecar/triggers/memory/remedies.ts'
import { eventOf } from '../../../../sidecar/triggers/memory/memory-event.ts'

const mebibyte = 2 ** 20
const answered = { at: '2026-01-02T03:04:05.678Z', limitBytes: 1024 * mebibyte, usedBytes: 890 * mebibyte }
const cases: [
  did: Omit<Answered, 'at' | 'limitBytes' | 'usedBytes'>,
  type: string,
  reason: string,
  message: RegExp,
][] = [
  [
    { did: 'grow', toBytes: 1536 * mebibyte },
    'Normal',
    'MemoryGrown',
    /^it uses 890 MiB of its 1024 MiB, and was given 1536 MiB$/,
  ],
  [
    { did: 'reschedule', toBytes: 1536 * mebibyte },
    'Normal',
    'MemoryRescheduled',
    /its replacement is to have 1536 MiB$/,
  ],
  [{ did: 'checkpoint' }, 'Normal', 'MemoryCheckpointed', /a checkpoint was taken$/],
  [
    { did: 'checkpoint', why: 'it was thawed meanwhile' },
    'Normal',
    'MemoryCheckpointed',
    /a checkpoint was taken; it was thawed meanwhile$/,
  ],
  [
    { did: 'end', why: 'the pod was told to end' },
    'Normal',
    'MemoryEnded',
    /was ended with a checkpoint: the pod was told to end$/,
  ],
  [
    { did: 'checkpoint', why: 'it has all that it may grow to', exhausted: true },
    'Warning',
    'MemoryRefused',
    /can have no more: it has all that it may grow to\. A checkpoint is kept/,
  ],
  [
    { did: 'nothing', why: 'no checkpoint: io_uring' },
    'Warning',
    'MemoryRefused',
    /nothing could be done: no checkpoint: io_uring\./,
  ],
]
for (const [did, type, reason, message] of cases)
  t.test(`${did.did} is told${did.why === undefined ? '' : ' with its reason'}`, async (t) => {
    t.match(eventOf({ ...answered, ...did }), { type, reason, message })
  })

t.test('an event’s text is as long as an event may be', async (t) => {
  t.ok(eventOf({ ...answered, did: 'nothing', why: 'x'.repeat(5000) }).message.length <= 1000)
})
