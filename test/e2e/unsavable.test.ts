/** What cannot be saved is said at once, by name, and the program goes on as if nobody had tried. */
import t from 'tap'
import { pythonImage } from '../images/debian.ts'
import {
  application,
  askControl,
  deadlineMs,
  openStage,
  podOf,
  statusOf,
  type PodOptions,
} from './support.ts'

const reasons = {
  queue: 'uses-outside-file',
  memory: 'uses-shared-memory',
  program: 'runs-from-memory',
  backlog: 'connection-in-backlog',
  traced: 'under-debugger',
  ring: 'uses-io-uring',
  excluded: 'holds-excluded-file',
  watched: 'holds-excluded-file',
}

/** With a volume that does not travel. */
const withScratch = ({ annotations, ...options }: PodOptions) =>
  podOf({
    ...options,
    annotations: { ...annotations, exclude: '/scratch' },
    volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }],
    spec: { volumes: [{ name: 'scratch', emptyDir: {} }] },
  })

t.test('each thing that cannot be saved has its reason', async (t) => {
  const stage = await openStage(t, { base: await pythonImage(), programs: ['unsavable.py', 'findings.py'] })
  for (const [mode, reason] of Object.entries(reasons)) {
    const command = ['python3', '-u', '/app/unsavable.py', mode]
    const pod = await stage.run(withScratch({ command, annotations: { seccomp: 'keep', key: mode } }))
    await pod.waitForLog(application, /^ready$/, { deadlineMs })
    t.match(await askControl(pod, { afterwards: 'resume' }), { app: { outcome: 'failed', reason } }, mode)
    const [container] = (await statusOf(pod)).containers
    t.match(container?.lastCheckpoint, { outcome: 'failed', reason }, `${mode}, in the status`)
    const turns = pod.logLines(application).length
    await pod.waitForLog(application, /^turn/, { nth: turns, deadlineMs })
    await pod.crash()
  }
})

t.test('a file without a name travels with the memory, also from a path that does not', async (t) => {
  const stage = await openStage(t, { base: await pythonImage(), programs: ['unsavable.py', 'findings.py'] })
  const options = withScratch({ command: ['python3', '-u', '/app/unsavable.py', 'unlinked'] })
  const before = await stage.run(options)
  await before.waitForLog(application, /^ready$/, { deadlineMs })
  await before.evict()
  const after = await stage.run(options)
  await after.waitForLog(application, /^turn/, { deadlineMs })
  t.equal(
    after.logLines(application).some(({ text }) => text === 'ready'),
    false,
    'it goes on',
  )
  t.match((await statusOf(after)).containers[0], { restoredFrom: String })
  await after.crash()
})
