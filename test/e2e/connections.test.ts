/** TCP connections that a program has with itself go on, with all that was under way in them. Those to others come back closed. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Pod } from '../harness/pod.ts'
import { pythonImage } from '../images/debian.ts'
import { assertAll, look, type Round } from './state.ts'
import {
  application,
  askControl,
  deadlineMs,
  openStage,
  podOf,
  sidecar,
  statusOf,
  type Stage,
} from './support.ts'

const kinds = [
  'a connection over 127.0.0.1',
  'a connection over another address of 127.0.0.0/8',
  'a connection over IPv6',
  'a connection over IPv4 to a socket of IPv6',
  'the same with two sockets of IPv6',
  'a connection over the address of the pod',
  'a connection between two processes',
  'bytes under way in both directions, more than the other end can take',
  'many small writes that are not read',
  'a connection that one end has closed for writing, with a question that is not read',
  'the same with more than the other end can take',
  'a connection that both ends have closed for writing, the second with more than the first can take',
  'what a peer has written before it closed the connection',
  'four hundred connections',
  'a connection that is not accepted yet',
  'a manager of multiprocessing, and what it holds',
]
const podAddress = { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }

function insidePod(stage: Stage) {
  mkdirSync(join(stage.folder, 'control'), { recursive: true })
  return podOf({
    command: ['python3', '-u', '/app/inside.py'],
    env: [podAddress],
    volumeMounts: [{ name: 'control', mountPath: '/control' }],
    spec: {
      restartPolicy: 'Always',
      volumes: [{ name: 'control', hostPath: { path: join(stage.folder, 'control') } }],
    },
  })
}

t.test('connections inside a program outlive its pod, and the crash of its container', async (t) => {
  const stage = await openStage(t, {
    base: await pythonImage(),
    programs: ['inside.py', 'state_report.py'],
  })
  const first = await stage.run(insidePod(stage))
  await first.waitForLog(application, /^ready$/, { deadlineMs })
  await assertRound(t, 'before any checkpoint', await look(stage, first, 1))
  await mustTake(t, first)
  const goneOn = await look(stage, first, 2)
  await assertRound(t, 'in the program that goes on after its checkpoint', goneOn)
  t.equal(goneOn.get('a connection that is not accepted yet')?.found, 'connected')

  await first.evict()
  const second = await stage.run(insidePod(stage))
  const moved = await look(stage, second, 3)
  await assertRound(t, 'in the pod that replaces it', moved)
  t.equal(moved.get('a connection over the address of the pod')?.found, second.status().podIp)

  await mustTake(t, second)
  await assertRound(
    t,
    'in a restored program that goes on after its checkpoint',
    await look(stage, second, 4),
  )
  // The old connections are the kernel's for a minute: the restored ones must not need their ports.
  second.killContainer(application)
  await second.waitForLog(sidecar, /went on from its checkpoint/, { nth: 2, deadlineMs })
  const crashed = await look(stage, second, 5)
  await assertRound(t, 'in the container that is started again in the same pod', crashed)
})

async function mustTake(t: Test, pod: Pod): Promise<void> {
  t.match(await askControl(pod, { afterwards: 'resume' }), { app: { outcome: 'taken' } })
  const [container] = (await statusOf(pod)).containers
  const { connections } = container?.lastCheckpoint ?? {}
  t.match(connections, { outside: 0, neighbours: 0 }, 'nobody else is connected')
  t.ok((connections?.unaccepted ?? 0) > 0, 'one that is not accepted is told of', { connections })
  t.ok((connections?.kept ?? 0) > 800, 'the others are kept', { connections })
}

async function assertRound(t: Test, when: string, round: Round): Promise<void> {
  await t.test(when, async (t) => assertAll(t, kinds, round))
}
