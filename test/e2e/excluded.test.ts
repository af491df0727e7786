/** Files count before anything stops: too many of them put a periodic checkpoint off, and what does not travel does not count. */
import t from 'tap'
import { poll } from '../harness/deadline.ts'
import type { Pod } from '../harness/pod.ts'
import { application, deadlineMs, numbersIn, openStage, podOf, sidecarEntries } from './support.ts'

/** More than is assumed to be archived in the second that maxFreeze leaves (rates.ts). */
const cacheBytes = 300_000_000
const step = /^step (\d+) /
const told = (pod: Pod, event: string) => sidecarEntries(pod).find((entry) => entry.event === event)

t.test(
  'a periodic checkpoint that would take too long is said and not begun; without the cache it is taken, and goes on without it',
  async (t) => {
    const stage = await openStage(t, { programs: ['steps.c'], config: 'maxFreeze: 1s' })
    const run = (annotations: Record<string, string>) =>
      stage.run(
        podOf({
          command: [
            '/bin/sh',
            '-c',
            `head -c ${cacheBytes} /dev/zero >/scratch/cache; /app/steps 1000000 20`,
          ],
          annotations: { interval: '8s', ...annotations },
          volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }],
          spec: { volumes: [{ name: 'scratch', emptyDir: {} }] },
        }),
      )
    const large = await run({ key: 'large' })
    await large.waitForLog(application, step, { deadlineMs })
    const why = await poll('the sidecar to say so', deadlineMs, () => told(large, 'interval.too_long'))
    t.match(why, { container: application, maxFreezeMs: 1_000 })
    // On a slow machine one is taken while the cache is being written.
    const manifests = await stage.manifests({ lineage: 'tests/key/large' })
    t.notOk(manifests.some(({ totalBytes }) => totalBytes >= cacheBytes))
    await large.crash()

    const small = await run({ key: 'small', exclude: '/scratch/cache' })
    await small.waitForLog(application, step, { deadlineMs })
    const slot = { lineage: 'tests/key/small' }
    const [taken] = await poll('a checkpoint', deadlineMs, async () => {
      const manifests = await stage.manifests(slot)
      return manifests.length > 0 ? manifests : undefined
    })
    t.ok((taken?.totalBytes ?? 0) < cacheBytes / 3, `${taken?.totalBytes} bytes`)
    await small.evict()
    const after = await run({ key: 'small', exclude: '/scratch/cache' })
    await after.waitForLog(application, step, { deadlineMs })
    t.equal(numbersIn(after, step)[0], (numbersIn(small, step).at(-1) ?? 0) + 1, 'it goes on')
    const cache = await after.exec(application, ['ls', '/scratch'])
    t.equal(cache.stdout.trim(), '', 'its cache did not travel')
    await after.crash()
  },
)
