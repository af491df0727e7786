/** A node runs out of memory: the pod has its checkpoint before the kubelet would evict it. */
import { readFileSync } from 'node:fs'
import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { poll } from '../harness/deadline.ts'
import { compile } from '../harness/native.ts'
import { availableBytes, parseMeminfo } from '../../sidecar/triggers/node-memory/node-memory.ts'
import { growing } from './memory.ts'
import { application, askControl, deadlineMs, openStage, sidecar, sidecarEntries } from './support.ts'

const evictionMiB = 100
/** More than a gibibyte above the threshold: by what a checkpoint takes, and not by what is nearly gone. */
const neededMiB = 1_350

/** Between two pieces of what others take. */
const everyMs = 500

const availableMiB = () => availableBytes(parseMeminfo(readFileSync('/proc/meminfo', 'utf8'))) / 2 ** 20

t.test('a checkpoint is complete before the node has less memory than the kubelet evicts at', async (t) => {
  const stage = await openStage(t, { programs: ['fill.c'] })
  const pod = await stage.run(growing({ limitMiB: 512, mebibytes: 200, threads: 1, hold: true }))
  await pod.waitForLog(application, /^done$/, { deadlineMs: 2 * deadlineMs })
  const fill = await compile(join(import.meta.dirname, '../programs/fill.c'))
  const hogs: ChildProcess[] = []
  const hog = (mebibytes: number) =>
    hogs.push(spawn(fill, [String(Math.max(1, Math.round(mebibytes))), '1', '0', 'then-hold'], { stdio: 'ignore' })) // prettier-ignore
  // What a checkpoint takes on this machine, with others at work, is known from an earlier one, as from a periodic one.
  const others = setInterval(() => spawn(fill, ['20', '1', '0'], { stdio: 'ignore' }), everyMs)
  t.teardown(() => clearInterval(others))
  const askedAt = performance.now()
  t.match(await askControl(pod, {}), { app: { outcome: 'taken' } })
  const tookMs = performance.now() - askedAt
  clearInterval(others)
  // Somebody else fills the node: at once some of it, then so fast that a gibibyte is gone in some seconds more than two checkpoints take.
  const mibPerMs = neededMiB / (2 * tookMs + 3_000)
  const beganMiB = evictionMiB + neededMiB + 9_000 * mibPerMs
  t.comment(`${Math.round(availableMiB())} MiB available, a checkpoint took ${Math.round(tookMs)} ms, from ${Math.round(beganMiB)} MiB on by ${Math.round(mibPerMs * 1000)} MiB a second`) // prettier-ignore
  hog(availableMiB() - beganMiB)
  await poll('the first of it', 120_000, () => (availableMiB() < beganMiB + 50 ? true : undefined), () => `${availableMiB()} MiB`) // prettier-ignore
  let filledAt = performance.now()
  const filling = setInterval(() => {
    const now = performance.now()
    // What was not taken while this process got no processor is not made up for at once: the sidecar may have got none either.
    hog(mibPerMs * Math.min(now - filledAt, 2 * everyMs))
    filledAt = now
  }, everyMs)
  const endHogs = () => {
    clearInterval(filling)
    for (const each of hogs) each.kill('SIGKILL')
  }
  t.teardown(endHogs)
  let evictedAt: number | undefined
  const watch = setInterval(() => {
    if (availableMiB() >= evictionMiB) return
    evictedAt ??= Date.now()
    endHogs()
  }, 100)
  t.teardown(() => clearInterval(watch))
  const pressed = await pod.waitForLog(sidecar, /the node runs out of memory/, { deadlineMs: 120_000 })
  await pod.waitForLog(sidecar, /a checkpoint was taken/, { nth: 2, deadlineMs: 120_000 })
  const leftMiB = availableMiB()
  endHogs()
  const taken = sidecarEntries(pod).findLast(({ msg }) => msg === 'a checkpoint was taken')
  const takenAt = Date.parse(String(taken?.time))
  t.match(taken, { trigger: 'node-memory' })
  t.ok(evictedAt === undefined || takenAt < evictedAt, `taken ${takenAt}, evicted ${evictedAt}`)
  const pressedMiB = Number(/(\d+) bytes available/.exec(String(taken?.reason))?.[1]) / 2 ** 20
  // How far ahead it begins is a matter of the rate and of what a dump takes: the trigger’s own tests.
  t.comment(`it began with ${Math.round(pressedMiB)} MiB available; ${Math.round(leftMiB)} MiB available when it was complete, after ${takenAt - pressed.timeMs} ms: ${String(taken?.reason)}`) // prettier-ignore
  t.equal((await stage.manifests()).length, 2)
  await pod.delete()
})
