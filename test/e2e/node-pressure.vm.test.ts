/** A node runs out of memory: the pod has its checkpoint before the kubelet would evict it. */
import { readFileSync } from 'node:fs'
import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { poll } from '../harness/deadline.ts'
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
  // Somebody else fills the node: at once most of it, then some 20 MiB a second, beyond the threshold.
  const fill = await compile(join(import.meta.dirname, '../programs/fill.c'))
  const hogs: ChildProcess[] = []
  const hog = (mebibytes: number, pauseUs: number) => {
    const words = [String(Math.ceil(mebibytes)), '1', String(pauseUs), 'then-hold']
    hogs.push(spawn(fill, words, { stdio: 'ignore' }))
  }
  const endHogs = () => hogs.forEach((each) => each.kill('SIGKILL'))
  t.teardown(endHogs)
  hog(availableMiB() - evictionMiB - 700, 0)
  await poll('the first of it', 120_000, () => (availableMiB() < evictionMiB + 750 ? true : undefined), () => `${availableMiB()} MiB`) // prettier-ignore
  hog(700 + evictionMiB / 2, 40_000)
  let evictedAt: number | undefined
  const watch = setInterval(() => {
    if (availableMiB() >= evictionMiB) return
    evictedAt ??= Date.now()
    endHogs()
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
