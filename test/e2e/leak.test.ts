/**
 * What leaks dies of it in the end, however slowly: restored with its memory as full as it was, it would die again and again, for ever.
 * A start from the beginning gives it all of its memory back. `make soak` lets it live longer than a checkpoint takes to prove good.
 */
import t from 'tap'
import { application, deadlineMs, openStage, podOf, sidecar, sidecarEntries, soaking } from './support.ts'

const limitMiB = 64
const startMiB = 40
/** From 85 % of the limit some nine mebibytes are left. */
const pauseMs = soaking ? 9_000 : 300

t.test('a program that leaks begins anew after it has died of one full memory twice', async (t) => {
  const stage = await openStage(t, { programs: ['leak.c'] })
  const pod = podOf({
    command: ['/app/leak', String(startMiB), String(pauseMs)],
    resources: { limits: { memory: `${limitMiB}Mi` } },
    annotations: { interval: 'off' },
    spec: { restartPolicy: 'Always' },
  })
  const running = await stage.run(pod)
  await running.waitForLog(sidecar, /can have no more: it goes on with a checkpoint kept/, { deadlineMs: 30 * pauseMs + deadlineMs }) // prettier-ignore
  // Before its first checkpoint it may have died, too: where the sidecar did not see in time that the memory is full.
  const begun = running.logLines(application).filter(({ text }) => text === 'begun').length
  await running.waitForLog(application, /^begun$/, {
    nth: begun + 1,
    deadlineMs: 100 * pauseMs + 4 * deadlineMs,
  })
  const went = sidecarEntries(running).filter(
    ({ msg }) => msg === 'the application went on from its checkpoint',
  )
  const checkpoints = new Set(went.map(({ checkpoint }) => checkpoint))
  t.comment(`restored ${went.length} times, from ${checkpoints.size} checkpoints`)
  t.ok(went.length >= 2, 'it was tried')
  t.ok(went.length <= 2 * checkpoints.size, 'none of them a third time')
  await running.delete()
})
