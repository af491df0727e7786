/**
 * Two protected containers share an emptyDir on disk, one in memory, and /dev/shm. Each is restored by itself: none may take back what
 * the other has written since it runs again, and each finds its own files as it left them.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Pod } from '../harness/pod.ts'
import {
  application,
  askControl,
  deadlineMs,
  numbersIn,
  openStage,
  podOf,
  sidecar,
  type Stage,
} from './support.ts'

const other = 'other'
const folders = ['/disk', '/memory', '/dev/shm'] as const

/**
 * In each step it appends a line to a log, opened anew or held open, and replaces a file, in each folder; then it says which step it was.
 * `/control/drop` has it remove a file that it made at its first step. `/control/exit-NAME` ends it.
 */
const program = `name=$1; i=0
exec 5>>/disk/$name.held
for f in ${folders.join(' ')}; do echo $name > $f/$name.first; done
while :; do
  i=$((i + 1))
  echo $i >&5
  for f in ${folders.join(' ')}; do
    echo $i >> $f/$name.log
    echo $i > $f/$name.draft; mv $f/$name.draft $f/$name.now
    [ ! -e /control/drop ] || rm -f $f/$name.first
  done
  echo step $i
  [ ! -e /control/exit-$name ] || exit 5
  sleep 0.1
done`

const volumeMounts = [
  { name: 'control', mountPath: '/control' },
  { name: 'disk', mountPath: '/disk' },
  { name: 'memory', mountPath: '/memory' },
]

const commandOf = (name: string) => ['sh', '-c', program, 'sh', name]

type Shared = {
  stage: Stage
  tell: (name: string) => void
  takeBack: (name: string) => void
  run: () => Promise<Pod>
}

async function openShared(t: Test): Promise<Shared> {
  const stage = await openStage(t)
  const control = join(stage.folder, 'control')
  mkdirSync(control)
  // The kubelet starts the second container when the hook of the first has ended.
  const hook = { exec: { command: ['sh', '-c', 'until [ -e /control/second ]; do sleep 0.1; done'] } }
  const pod = () =>
    podOf({
      annotations: { containers: `${application},${other}` },
      command: commandOf(application),
      volumeMounts,
      lifecycle: { postStart: hook },
      spec: {
        restartPolicy: 'Always',
        containers: [{ name: other, image: 'app', command: commandOf(other), volumeMounts }],
        volumes: [
          { name: 'control', hostPath: { path: control } },
          { name: 'disk', emptyDir: {} },
          { name: 'memory', emptyDir: { medium: 'Memory' } },
        ],
      },
    })
  return {
    stage,
    tell: (name) => writeFileSync(join(control, name), ''),
    takeBack: (name) => rmSync(join(control, name)),
    run: () => stage.run(pod()),
  }
}

const steps = (pod: Pod, container: string) => numbersIn(pod, /^step (\d+)$/, container)

async function goesOn(pod: Pod, container: string, more = 5): Promise<void> {
  const said = steps(pod, container).length
  await pod.waitForLog(container, /^step /, { nth: said + more, deadlineMs })
}

/** Runs the first pod until both have done some steps. */
async function both({ run, tell }: Shared): Promise<Pod> {
  tell('second')
  const pod = await run()
  for (const name of [application, other]) await pod.waitForLog(name, /^step 5$/, { deadlineMs })
  return pod
}

async function content(pod: Pod, path: string): Promise<string> {
  return (await pod.exec(application, ['sh', '-c', `cat ${path} 2>/dev/null || echo missing`])).stdout
}

const numbers = (text: string) => text.trim().split('\n').map(Number)

/** Whether each step that was said is in each log, and the newest file is of a late one. */
async function assertWhole(t: Test, pod: Pod, name: string, said: number[]): Promise<void> {
  const logs = [...folders.map((folder) => `${folder}/${name}.log`), `/disk/${name}.held`]
  for (const log of logs) {
    const lines = new Set(numbers(await content(pod, log)))
    const lost = said.filter((step) => !lines.has(step))
    t.same(lost, [], `${log} has every step that ${name} said`)
  }
  for (const folder of folders) {
    const [now = 0] = numbers(await content(pod, `${folder}/${name}.now`))
    t.ok(now >= (said.at(-1) ?? 0), `${folder}/${name}.now is of step ${now}`)
  }
}

/** How many of the containers went on from a checkpoint in this pod. */
const wentOn = (pod: Pod) =>
  pod.logLines(sidecar).filter(({ text }) => /went on from its checkpoint/.test(text)).length

for (const end of ['evicted', 'crashed'] as const)
  t.test(
    `a volume of a pod that was ${end}: the second container’s restore leaves what the first one writes`,
    async (t) => {
      const shared = await openShared(t)
      const before = await both(shared)
      if (end === 'evicted') await before.evict()
      else {
        for (const container of [application, other]) {
          t.match(await askControl(before, { container }), { [container]: { outcome: 'taken' } })
          await goesOn(before, other)
        }
        await before.crash()
      }
      shared.takeBack('second')
      shared.tell('drop')
      const after = await shared.run()
      await goesOn(after, application, 10)
      t.equal(await content(after, '/disk/app.first'), 'missing\n', 'removed by the one that runs')
      shared.takeBack('drop')
      shared.tell('second')
      await goesOn(after, other)
      await goesOn(after, application)
      t.equal(wentOn(after), 2, after.describe())
      await assertWhole(t, after, application, steps(after, application))
      const own = steps(after, other)
      const [first = 0] = own
      // All that it did before the checkpoint that it went on from, too.
      await assertWhole(t, after, other, [...steps(before, other).filter((step) => step < first), ...own])
      for (const folder of folders) {
        t.equal(await content(after, `${folder}/app.first`), 'missing\n', `${folder}/app.first stays removed`)
        t.equal(await content(after, `${folder}/other.first`), 'other\n', `${folder}/other.first is there`)
      }
    },
  )

t.test('a container that is restored beside one that began anew leaves what that one wrote', async (t) => {
  const shared = await openShared(t)
  const before = await both(shared)
  await before.evict()
  for (const { id } of await shared.stage.manifests())
    rmSync(await checkpointFolder(shared.stage, id), { recursive: true })
  shared.takeBack('second')
  const after = await shared.run()
  await goesOn(after, application, 10)
  t.equal(steps(after, application)[0], 1)
  shared.tell('second')
  await goesOn(after, other)
  await goesOn(after, application)
  t.equal(wentOn(after), 1)
  await assertWhole(t, after, application, steps(after, application))
  const own = steps(after, other)
  t.ok((own[0] ?? 0) > 1)
  await assertWhole(t, after, other, [...steps(before, other), ...own])
  t.equal(numbers(await content(after, '/disk/app.log')).filter((step) => step === 1).length, 1)
})

t.test('a container that is restored in the living pod leaves the volumes as they are', async (t) => {
  const shared = await openShared(t)
  const pod = await both(shared)
  t.match(await askControl(pod, { container: other }), { [other]: { outcome: 'taken' } })
  shared.tell('drop')
  await goesOn(pod, application, 10)
  shared.takeBack('drop')
  await goesOn(pod, other)
  shared.tell('exit-other')
  await pod.waitFor('an exit', ({ containerStatuses }) => containerStatuses.some(({ name, state, restartCount }) => name === other && (state.kind !== 'running' || restartCount > 0)), deadlineMs) // prettier-ignore
  shared.takeBack('exit-other')
  await pod.waitForLog(sidecar, /went on from its checkpoint/, { deadlineMs })
  await goesOn(pod, other)
  await goesOn(pod, application)
  await assertWhole(t, pod, application, steps(pod, application))
  await assertWhole(t, pod, other, steps(pod, other).slice(-5))
  for (const folder of folders)
    t.equal(await content(pod, `${folder}/app.first`), 'missing\n', `${folder}/app.first stays removed`)
})

async function checkpointFolder(stage: Stage, id: string): Promise<string> {
  const { glob } = await import('node:fs/promises')
  for await (const path of glob(`${stage.storeFolder}/**/${id}`)) return path
  throw new Error(`no checkpoint ${id} in ${stage.storeFolder}`)
}
