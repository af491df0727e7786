/** What a container is allowed by its runtime: system calls, and capabilities. */
import t from 'tap'
import { reprieveImage } from '../images/reprieve.ts'
import { application, askControl, deadlineMs, openStage, podOf, replaced, statusOf } from './support.ts'

const node = ['/usr/local/bin/node', '/app/turns.js']

t.test('a program of Node.js goes on where its pod sets no seccomp profile', async (t) => {
  const stage = await openStage(t, { base: await reprieveImage(), programs: ['turns.js'] })
  const { before, after } = await replaced(stage, { command: node }, /^turn \d\d+ /)
  const last = Number(/^turn (\d+) of \d+$/m.exec(before.logLines(application).at(-1)?.text ?? '')?.[1])
  t.match(after.logs(application), new RegExp(`^turn ${last + 1} of ${last + 1}$`, 'm'))
})

t.test('one that runs unconfined keeps an io_uring ring, and is told of by name', async (t) => {
  const stage = await openStage(t, { base: await reprieveImage(), programs: ['turns.js'] })
  const pod = await stage.run(podOf({ command: node, annotations: { seccomp: 'keep' } }))
  await pod.waitForLog(application, /^turn 5 /, { deadlineMs })
  t.match(await askControl(pod, { afterwards: 'resume' }), {
    app: { outcome: 'failed', reason: 'uses-io-uring' },
  })
  const [container] = (await statusOf(pod)).containers
  t.match(container?.lastCheckpoint, { reason: 'uses-io-uring', detail: /io_uring.*RuntimeDefault/ })
})

for (const [capability, bit] of [
  ['IPC_LOCK', 14n],
  ['SYS_NICE', 23n],
] as const)
  t.test(`what root was given beside the default comes back: ${capability}`, async (t) => {
    const stage = await openStage(t, { programs: ['steps.c'] })
    const securityContext = { capabilities: { add: [capability] } }
    const options = { command: ['/app/steps', '100000', '20'], securityContext }
    const { after } = await replaced(stage, options, /^step 1\d/)
    const find = 'for it in /proc/[0-9]*; do grep -q ^steps $it/comm && grep ^CapEff $it/status; done'
    const held = await after.exec(application, ['sh', '-c', find])
    const [, mask = '0'] = /CapEff:\s+([0-9a-f]{16})/.exec(held.stdout) ?? []
    t.ok(BigInt(`0x${mask}`) & (1n << bit), held.stdout)
  })
