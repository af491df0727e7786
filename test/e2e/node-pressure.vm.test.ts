/** A node runs out of memory: the pod has its checkpoint before the kubelet would evict it. */
import { readFileSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { compile } from '../harness/native.ts'
import { availableBytes, parseMeminfo } from '../../sidecar/memory/node-memory.ts'
import { growing } from './memory.ts'
import { application, askControl, deadlineMs, openStage, sidecar, sidecarEntries } from './support.ts'

const evictionMiB = 100

const availableMiB = () => availableBytes(parseMeminfo(readFileSync('/proc/meminfo', 'utf8')), 2) / 2 ** 20

t.test('a checkpoint is complete before the node has less memory than the kubelet evicts at', async (t) => {
  const stage = await openStage(t, { programs: ['fill.c'] })
  const pod = await stage.run(growing({ limitMiB: 512, mebibytes: 64, threads: 1, hold: true }))
  await pod.waitForLog(application, /^done$/, { deadlineMs })
  // What a checkpoint takes on this machine is known from an earlier one, as from a periodic one.
  t.match(await askControl(pod, {}), { app: { outcome: 'taken' } })
  // Somebody else fills the node, some 50 MiB a second, beyond the threshold.
  const wanted = Math.ceil(availableMiB() - evictionMiB / 2)
  const hog = spawn(await compile(join(import.meta.dirname, '../programs/fill.c')), [String(wanted), '1', '20000', 'then-hold'], { stdio: 'ignore' }) // prettier-ignore
  t.teardown(() => hog.kill('SIGKILL'))
  let evictedAt: number | undefined
  const watch = setInterval(() => {
    if (availableMiB() >= evictionMiB) return
    evictedAt ??= Date.now()
    hog.kill('SIGKILL')
  }, 100)
  t.teardown(() => clearInterval(watch))
  await pod.waitForLog(sidecar, /a checkpoint was taken/, { nth: 2, deadlineMs: 120_000 })
  const taken = sidecarEntries(pod).findLast(({ msg }) => msg === 'a checkpoint was taken')
  const takenAt = Date.parse(String(taken?.time))
  t.match(taken, { trigger: 'node-memory' })
  t.ok(evictedAt === undefined || takenAt < evictedAt, `taken ${takenAt}, evicted ${evictedAt}`)
  t.comment(`${Math.round(availableMiB())} MiB available when it was complete: ${String(taken?.reason)}`)
  t.equal((await stage.manifests()).length, 2)
  await pod.delete()
})
