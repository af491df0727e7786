/** Sockets that are bound to this pod's address, or whose other end is outside the tree. */
import t from 'tap'
import { pythonImage } from '../images/debian.ts'
import { application, askControl, deadlineMs, openStage, podOf, replaced, statusOf } from './support.ts'

const podAddress = { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }
const shared = { name: 'shared', mountPath: '/shared' }

for (const how of ['tcp', 'udp', 'client'])
  t.test(`a socket at the pod's own address is at the new pod's: ${how}`, async (t) => {
    const stage = await openStage(t, {
      base: await pythonImage(),
      programs: ['pod_address.py', 'findings.py'],
    })
    const command = ['python3', '-u', '/app/pod_address.py', how]
    const { before, after } = await replaced(stage, { command, env: [podAddress] }, /^turn/)
    const [works] = /^works: .*$/m.exec(before.logs(application)) ?? []
    t.ok(works)
    const address = after.status().podIp
    t.not(address, before.status().podIp)
    t.match(after.logs(application), `bound to: "${address}"`)
    t.notMatch(after.logs(application), /^works/m, 'and works as before')
  })

t.test('what would listen by MPTCP, as Go does, listens by TCP', async (t) => {
  const stage = await openStage(t, { base: await pythonImage(), programs: ['mptcp.py', 'findings.py'] })
  const { before, after } = await replaced(stage, { command: ['python3', '-u', '/app/mptcp.py'] }, /^turn/)
  t.match(before.logs(application), /^answers: "x"$/m)
  t.notMatch(after.logs(application), /^answers/m)
})

t.test('a program that opens an MPTCP socket itself is told of by name', async (t) => {
  const stage = await openStage(t, { base: await pythonImage(), programs: ['mptcp.py', 'findings.py'] })
  const pod = await stage.run(podOf({ command: ['python3', '-u', '/app/mptcp.py', 'always'] }))
  await pod.waitForLog(application, /^turn/, { deadlineMs })
  t.match(await askControl(pod, { afterwards: 'resume' }), {
    app: { outcome: 'failed', reason: 'uses-mptcp' },
  })
  const [container] = (await statusOf(pod)).containers
  t.match(container?.lastCheckpoint, { reason: 'uses-mptcp', detail: /MPTCP socket.*net\.mptcp\.enabled/ })
  await pod.waitForLog(application, /^turn/, { nth: 3, deadlineMs })
})

for (const mode of ['stream', 'seqpacket', 'dgram'])
  t.test(`a ${mode} socket to a neighbour is closed at the restore, and connects again`, async (t) => {
    const stage = await openStage(t, { base: await pythonImage(), programs: ['neighbour.py', 'findings.py'] })
    const command = ['python3', '-u', '/app/neighbour.py', mode]
    const { before, after } = await replaced(
      stage,
      {
        command,
        volumeMounts: [shared],
        spec: {
          terminationGracePeriodSeconds: 5,
          volumes: [{ name: 'shared', emptyDir: {} }],
          containers: [
            { name: 'peer', image: 'app', command: [...command, 'serve'], volumeMounts: [shared] },
          ],
        },
      },
      /^turn/,
    )
    t.match(before.logs(application), /^peer: "answered"$/m)
    await after.waitForLog(application, /^connected again$/, { deadlineMs })
    await after.waitForLog(application, /^turn/, { nth: 3, deadlineMs })
    t.match(
      after.logs(application),
      /^lost: (end of file|Broken pipe|Connection refused|Transport endpoint)/m,
    )
  })
