import t from 'tap'
import type { Measured } from '../../../sidecar/container/ledger.ts'
import { assumed, estimate, freezeMs, tookMost } from '../../../sidecar/container/rates.ts'

const gibibyte = 2 ** 30

/** 2 GiB of memory beside 30 GiB of files: 10 s to dump and archive, 5 min to store. */
const withFiles: Measured = {
  phases: { startMs: 100, dumpMs: 2_000, archiveMs: 10_000, totalMs: 310_100 },
  bytes: 32 * gibibyte,
  memoryBytes: 2 * gibibyte,
}

t.test('memory has grown by what it held at the checkpoint, however many files that had', async (t) => {
  const took = tookMost([withFiles])
  t.same(estimate(took, 2 * gibibyte), { startMs: 100, dumpMs: 10_000, storeMs: 300_000 })
  const grown = estimate(took, 20 * gibibyte)
  t.equal(grown.dumpMs, 10_000 + (18 * gibibyte) / assumed.dumpBytesPerMs, 'files are not dumped')
  t.equal(grown.storeMs, 300_000 + (18 * gibibyte) / ((32 * gibibyte) / 300_000), 'but stored')
})

t.test('of several the smallest is what has grown', async (t) => {
  const took = tookMost([{ ...withFiles, memoryBytes: 8 * gibibyte }, withFiles])
  t.ok(estimate(took, 3 * gibibyte).storeMs > 300_000)
})

t.test('where nobody looked at the memory, all of the checkpoint is taken for it', async (t) => {
  const took = tookMost([{ phases: withFiles.phases, bytes: 32 * gibibyte }])
  t.equal(estimate(took, 32 * gibibyte).storeMs, 300_000)
  t.ok(estimate(took, 33 * gibibyte).storeMs > 300_000)
})

t.test('the freeze is reckoned from memory and files, at measured rates', async (t) => {
  const now = { memoryBytes: 2 * gibibyte, archiveBytes: 30 * gibibyte }
  t.equal(freezeMs([withFiles], now), 10_000, 'as it was')
  t.equal(freezeMs([], now), (30 * gibibyte) / assumed.archiveBytesPerMs, 'nothing is measured yet')
  const more = freezeMs([withFiles], { ...now, archiveBytes: 60 * gibibyte })
  t.ok(more > 19_000 && more < 21_000, 'twice the files take twice as long')
  t.ok(
    freezeMs([withFiles], { ...now, archiveBytes: 3 * gibibyte }) < 2_001,
    'files that are gone cost nothing',
  )
  t.ok(freezeMs([withFiles], { memoryBytes: 80 * gibibyte, archiveBytes: 0 }) > 70_000)
  const busyDisk = { ...withFiles, phases: { ...withFiles.phases, archiveMs: 200_000 } }
  t.equal(freezeMs([busyDisk, withFiles], now), 10_000, 'a disk that was busy once')
})
