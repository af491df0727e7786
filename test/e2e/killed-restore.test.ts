/** The sidecar is killed in the middle of a restore, when the files are there and the processes are not yet. */
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { poll } from '../harness/deadline.ts'
import type { Pod } from '../harness/pod.ts'
import { encodeName } from '../../src/store/slot-folder.ts'
import { application, deadlineMs } from './support.ts'
import {
  goesOn,
  mustCheckpoint,
  openSurvivorStage,
  restoredFrom,
  runSurvivor,
  sidecarNode,
  stepsOf,
  waitForWord,
} from './survivor.ts'

/** Says what of the image it finds, and changes it; CRIU then has enough memory to restore for the kill to come in between. */
const changesItsImage = `[ -e /app/say-hello ] && [ ! -e /app/later ] && echo of the image || echo of a later state
rm -f /app/say-hello; echo later > /app/later; exec /app/survivor 384 20 /control`
const command = ['sh', '-c', changesItsImage]

/** The application's container begins when it is let: the sidecar is up by then, and what it does can be watched. */
const gate = {
  name: 'gate',
  image: 'app',
  command: ['sh', '-c', 'until [ -e /control/open ]; do sleep 0.02; done'],
  volumeMounts: [{ name: 'control', mountPath: '/control' }],
}

const inItsTree = (pod: Pod, path: string) =>
  pod
    .container(application)
    .processes()
    .some((pid) => existsSync(`/proc/${pid}/root${path}`))

t.test('a cold start after it finds the files of the image, not those of a checkpoint', async (t) => {
  const stage = await openSurvivorStage(t, { programs: ['survivor.c', 'say-hello.c'] })
  const before = await runSurvivor(stage, { command })
  await mustCheckpoint(before)
  await before.crash()
  const [manifest] = await stage.manifests()
  if (manifest === undefined) throw new Error('no checkpoint is listed')

  const pod = await stage.run(stage.survivor({ command, spec: { initContainers: [gate] } }))
  await waitForWord(pod, 'the sidecar is ready')
  const node = await sidecarNode(pod)
  stage.tell('open')
  await poll(
    'the files of the checkpoint',
    deadlineMs,
    () => inItsTree(pod, '/app/later') || undefined,
    () => pod.describe(),
  )
  process.kill(node, 'SIGKILL')
  t.notOk(inItsTree(pod, '/app/say-hello'))
  t.equal(stepsOf(pod).length, 0, 'its processes were not there yet')
  // Nothing is left to go on from when the sidecar is back.
  await rm(join(stage.storeFolder, encodeName(manifest.slot.lineage), manifest.slot.container, manifest.id), { recursive: true }) // prettier-ignore

  await goesOn(pod)
  t.equal(await restoredFrom(pod), undefined)
  t.same(
    pod.logLines(application).flatMap(({ text }) => (text.startsWith('of ') ? [text] : [])),
    ['of the image'],
  )
  await waitForWord(pod, 'half a restore of an earlier sidecar was taken back')
})
