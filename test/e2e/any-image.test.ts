/** Point e: the image needs to bring nothing, and its pod may be as closed as its owner likes. */
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Image } from '../harness/image.ts'
import type { Pod } from '../harness/pod.ts'
import { pythonImage } from '../images/debian.ts'
import { hostileImage } from '../images/hostile.ts'
import { muslImage } from '../images/musl.ts'
import { staticOnlyImage } from '../images/static-only.ts'
import {
  application,
  deadlineMs,
  exitCodeOf,
  numbersIn,
  openStage,
  podOf,
  sidecarEntries,
  statusOf,
  type PodOptions,
  type Stage,
} from './support.ts'
import { restoredFrom } from './survivor.ts'

const program = join(import.meta.dirname, '../programs/walls.c')
const step = /^step (\d+)$/

t.test('an image with one static program and nothing else, with a read-only root file system', async (t) => {
  const stage = await stageWith(t, await staticOnlyImage(program))
  const pods = await goesOn(t, stage, {
    command: ['/walls', '/here', '/reprieve/here', '/reprieve/bin/here', '/reprieve/run/here'],
    securityContext: { readOnlyRootFilesystem: true },
  })
  for (const path of ['/here', '/reprieve/here', '/reprieve/bin/here', '/reprieve/run/here'])
    t.same(linesFrom(pods, path), [`${path}: Read-only file system`], `${path} can never be made`)
  const { code, stderr } = await last(pods).exec(application, ['/bin/sh', '-c', 'true'])
  t.not(code, 0, 'it has no shell')
  t.match(stderr, /no such file/i)
})

t.test('an image with musl, linked dynamically', async (t) => {
  const stage = await stageWith(t, await muslImage(program))
  await goesOn(t, stage, { command: ['/bin/walls'] })
})

t.test('an image with an older glibc than Reprieve’s own', async (t) => {
  const stage = await stageWith(t, await pythonImage())
  const count =
    'import itertools, time\nfor n in itertools.count(1): print("step", n, flush=True); time.sleep(.02)'
  await goesOn(t, stage, {
    command: ['python3', '-c', count],
    securityContext: { readOnlyRootFilesystem: true },
  })
})

t.test('an image that lays its own code and configuration in the way of the tools', async (t) => {
  const stage = await stageWith(t, await hostileImage(program))
  const pods = await goesOn(t, stage, { command: ['/walls'] })
  // What the first pod's dump had left there would have come along.
  const { stdout } = await last(pods).exec(application, ['/bin/sh', '-c', 'cat /intruded || echo nothing'])
  t.equal(stdout, 'nothing\n', 'nothing of the image’s ran with the sidecar’s capabilities')
})

const ofItsOwnUser = mayReadLimits()
  ? 'an image with a user of its own'
  : 'an image with a user of its own, on a machine without CAP_SYS_RESOURCE, ends by its own preStop'
t.test(ofItsOwnUser, async (t) => {
  const image = await staticOnlyImage(program)
  const stage = await stageWith(t, { ...image, config: { ...image.config, user: '1000:1000' } })
  const out = join(stage.folder, 'out')
  mkdirSync(out)
  chmodSync(out, 0o777)
  const options = {
    command: ['/walls'],
    lifecycle: { preStop: { exec: { command: ['/walls', '--write', '/out/own-prestop'] } } },
    volumeMounts: [{ name: 'out', mountPath: '/out' }],
    spec: { volumes: [{ name: 'out', hostPath: { path: out } }] },
  }
  if (mayReadLimits()) {
    await goesOn(t, stage, options)
    return
  }
  const pod = await stage.run(podOf(options))
  await pod.waitForLog(application, step, { nth: 20, deadlineMs })
  t.same(linesFrom([pod], 'user'), ['user 1000:1000'], 'it runs as its user')
  await pod.evict()
  const refused = sidecarEntries(pod).filter(
    ({ msg }) => msg === 'no checkpoint was taken: the application goes on',
  )
  t.ok(refused.length > 0, 'without CAP_SYS_RESOURCE the sidecar says that it took no checkpoint')
  for (const { err, trigger } of refused)
    t.match({ err, trigger }, { trigger: 'prestop', err: { code: 'dump-failed', message: /\w/ } }, 'and why')
  t.same(await stage.manifests(), [], 'the store has none')
  t.ok(existsSync(join(out, 'own-prestop')), 'its own preStop ran')
  t.equal(pod.logLines(application).at(-1)?.text, 'told to end', 'it was told to end')
  t.equal(exitCodeOf(pod), 7)
})

async function stageWith(t: Test, image: Image): Promise<Stage> {
  return openStage(t, { images: { app: image } })
}

/** Evicts the pod and asserts that the replacement goes on at the next step. */
async function goesOn(t: Test, stage: Stage, options: PodOptions): Promise<Pod[]> {
  const first = await stage.run(podOf(options))
  await first.waitForLog(application, step, { nth: 20, deadlineMs })
  await first.evict()
  const [manifest] = await stage.manifests()
  const second = await stage.run(podOf(options))
  await second.waitForLog(application, step, { nth: 20, deadlineMs })
  const [before, after] = [numbersIn(first, step), numbersIn(second, step)]
  t.equal(after[0], (before.at(-1) ?? 0) + 1, 'the replacement goes on at the next step')
  t.equal(await restoredFrom(second, manifest?.id), manifest?.id)
  t.match((await statusOf(second)).containers, [{ rejected: [] }])
  return [first, second]
}

function linesFrom(pods: Pod[], beginning: string): string[] {
  return pods
    .flatMap((pod) => pod.logLines(application).map(({ text }) => text))
    .filter((text) => new RegExp(`^${beginning}\\b`).test(text))
}

function last(pods: Pod[]): Pod {
  const pod = pods.at(-1)
  if (pod === undefined) throw new Error('there is no pod')
  return pod
}

/**
 * CRIU reads the limits of each process by prlimit(2), which asks for CAP_SYS_RESOURCE where the user is another one than its
 * own; a machine may keep that from everybody, root included.
 */
function mayReadLimits(): boolean {
  const mask = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
  return ((BigInt(`0x${mask}`) >> 24n) & 1n) === 1n
}
