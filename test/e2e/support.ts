/**
 * The stage of an end-to-end test: a node, a store on its disk, images, and the webhook's own admission in front.
 *
 *   const stage = await openStage(t, { programs: ['steps.c', 'train_numpy.py'] })  // torn down with the test
 *   const pod = await stage.run(podOf({ command: ['/app/steps', '200', '20'] }))   // admitted, then run
 *   await pod.waitForLog(application, /^step 10$/)
 *   await pod.evict(); await stage.manifests()                                     // newest first
 *   sidecarEntries(pod); await statusOf(pod); await askControl(pod, { afterwards: 'resume' })
 *
 * Programs lie in /app: C sources of test/programs as static programs, others as they are. The image `app` is busybox
 * (or the one given) with them. A test that fails prints every pod's events, statuses and logs.
 */
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { pino } from 'pino'
import type { Test } from 'tap'
import { must } from '../../scripts/command.ts'
import { parseConfig, type Config } from '../../src/config.ts'
import type { CheckpointManifest, Slot } from '../../src/manifest.ts'
import { openStore } from '../../src/store/open.ts'
import type { Store } from '../../src/store/store.ts'
import type { Pod as AdmittedPod } from '../../webhook/pod.ts'
import { slowness } from '../harness/deadline.ts'
import { compile } from '../harness/native.ts'
import type { Image, Images } from '../harness/image.ts'
import type { ContainerSpec, PodManifest, PodSpec } from '../harness/manifest.ts'
import { Node } from '../harness/node.ts'
import type { Pod } from '../harness/pod.ts'
import type { VolumeSources } from '../harness/volumes.ts'
import { busyboxImage } from '../images/busybox.ts'
import { reprieveImage } from '../images/reprieve.ts'
import { inject } from '../webhook/patched-pod.ts'

/** Names of the containers in a pod of `podOf`. */
export const application = 'app'
export const sidecar = 'reprieve-sidecar'
export const restorer = 'reprieve-restore'
const namespace = 'tests'
const image = 'reprieve:e2e'
const statusPort = 9464
/** Generous: the machine may run other people's tests. What must be quick is measured, not given a deadline. */
export const deadlineMs = 120_000

/**
 * How long an application waits for its sidecar before it starts without (launcher/PROTOCOL.md): ten seconds, but in the guest, whose
 * processors may take as long to start Node. What is tested there is what a protected application goes through.
 */
export const patienceMs = 10_000 * slowness

/** Of a launcher that is told at once, or never starts its application. */
export const endlessPatience = ['REPRIEVE_PATIENCE_MS', 'REPRIEVE_PATIENCE_WITH_CHECKPOINT_MS'].map(
  (name) => ({
    name,
    value: '3600000',
  }),
)

/** The heavy counts of `make soak`, or the small ones of `make test`. */
export const soaking = process.env.REPRIEVE_SOAK === '1'

export type StageOptions = {
  /** File names in test/programs. */
  programs?: string[]
  /** What the programs are laid over; busybox unless it is given. */
  base?: Image
  /** Further images by reference. */
  images?: Images
  /** Reprieve's own; the built one unless it is given (e.g. one without CRIU). */
  reprieve?: Image
  /** What pods may request of the node's memory; all of it unless it is given. */
  allocatableMiB?: number
  /** Lines of the webhook's configuration file, in YAML. */
  config?: string
}

export type Stage = {
  readonly node: Node
  /** A folder of the machine for the test's own files, e.g. hostPath volumes. */
  readonly folder: string
  /** The folder of the tests' namespace in the store: what a pod sees of it. */
  readonly storeFolder: string
  readonly store: Store
  readonly images: Images
  readonly config: Config
  /** The pod after admission. @throws Error if it is not injected */
  admit(pod: PodManifest, needs?: ReadonlyMap<string, number>): PodManifest
  /** Admits and runs. */
  run(pod: PodManifest, sources?: VolumeSources): Promise<Pod>
  /** Runs as it is, past the webhook. */
  runPlain(pod: PodManifest, sources?: VolumeSources): Promise<Pod>
  /** Complete checkpoints in the store, newest first. */
  manifests(slot?: Partial<Slot>): Promise<CheckpointManifest[]>
}

export async function openStage(t: Test, options: StageOptions = {}): Promise<Stage> {
  // Not in /tmp: that may be a tmpfs, and a store is a disk.
  const folder = mkdtempSync('/var/tmp/reprieve-e2e-')
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const storeFolder = join(folder, 'store', namespace)
  mkdirSync(dirname(storeFolder))
  const base = options.base ?? (await busyboxImage())
  const layer = await programLayer(join(folder, 'programs'), options.programs ?? [])
  const images: Images = {
    app: { layers: [...base.layers, layer], config: base.config },
    [image]: options.reprieve ?? (await reprieveImage()),
    ...options.images,
  }
  const config = parseConfig(
    configText(dirname(storeFolder), options.config ?? ''),
    join(folder, 'webhook.yaml'),
  )
  const { allocatableMiB } = options
  const node = await Node.create(
    allocatableMiB === undefined ? {} : { allocatableBytes: allocatableMiB * 2 ** 20 },
  )
  t.teardown(async () => {
    if (!t.passing()) for (const pod of node.pods) process.stderr.write(`${pod.describe()}\n`)
    await node.destroy()
  })
  const store = openStore(
    { kind: 'directory', name: 'default', path: storeFolder },
    pino({ level: 'silent' }),
  )
  const admit = (pod: PodManifest, needs?: ReadonlyMap<string, number>): PodManifest => {
    const inNamespace = pod.metadata.namespace ?? namespace
    const admitted = inject(pod as AdmittedPod, config, 'pod', inNamespace, undefined, needs)
    if (admitted === undefined) throw new Error(`the webhook did not inject ${JSON.stringify(pod.metadata)}`)
    return admitted.after as PodManifest
  }
  const runPlain = (pod: PodManifest, sources: VolumeSources = {}) => node.run(pod, { ...sources, images })
  return {
    node,
    folder,
    storeFolder,
    store,
    images,
    config,
    admit,
    runPlain,
    run: (pod, sources) => runPlain(admit(pod), sources),
    manifests: async (slot = {}) => {
      const whole = { lineage: `${namespace}/key/work`, container: application, ...slot }
      return (await store.list(whole, AbortSignal.timeout(deadlineMs))).manifests
    },
  }
}

/** Reprieve's image as a broken build would leave it: all is there but CRIU. */
export async function reprieveWithoutCriu(t: Test): Promise<Image> {
  const { layers, config } = await reprieveImage()
  const layer = mkdtempSync('/var/tmp/reprieve-e2e-')
  t.teardown(() => rmSync(layer, { recursive: true, force: true }))
  const bin = join(layer, 'usr/local/lib/reprieve/tools/bin')
  mkdirSync(bin, { recursive: true })
  // A file of a lower layer is removed by a character device 0, 0 of its name (kernel: filesystems/overlayfs.rst).
  await must(['mknod', join(bin, 'criu'), 'c', '0', '0'])
  return { layers: [...layers, layer], config }
}

async function programLayer(folder: string, programs: string[]): Promise<string> {
  mkdirSync(join(folder, 'app'), { recursive: true })
  for (const program of programs) {
    const source = join(import.meta.dirname, '../programs', program)
    const file = program.endsWith('.c') ? await compile(source) : source
    copyFileSync(file, join(folder, 'app', basename(file)))
    chmodSync(join(folder, 'app', basename(file)), 0o755)
  }
  return folder
}

function configText(storeFolder: string, more: string): string {
  return `image: ${image}
imagePullPolicy: Never
stores: { default: { hostPath: { path: ${storeFolder}, type: DirectoryOrCreate } } }
statusPort: ${statusPort}
${/^checkpointBudget:/m.test(more) ? '' : 'checkpointBudget: 60s\n'}${more}
`
}

export type PodOptions = Omit<Partial<ContainerSpec>, 'name'> & {
  /**
   * Annotations without their prefix `reprieve.dev/`; `checkpoint`, `key: work` and `interval: off` are there unless they are given:
   * in a pod that lives for minutes no checkpoint is taken that the test did not ask for.
   */
  annotations?: Record<string, string>
  /** Of the pod beside its container. */
  spec?: Partial<PodSpec>
}

/** A pod as its owner writes it: one container, `app`, protected. Each call is a new pod of the same lineage. */
export function podOf({ annotations, spec, env = [], ...container }: PodOptions): PodManifest {
  const usual = slowness > 1 ? [{ name: 'REPRIEVE_PATIENCE_MS', value: String(patienceMs) }] : []
  const patience = usual.filter(({ name }) => !env.some((given) => given.name === name))
  const all = { checkpoint: 'true', key: 'work', interval: 'off', ...annotations }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: 'work-',
      namespace,
      annotations: Object.fromEntries(
        Object.entries(all).map(([name, value]) => [`reprieve.dev/${name}`, value]),
      ),
    },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 30,
      ...spec,
      containers: [
        { image: 'app', ...container, env: [...patience, ...env], name: application },
        ...(spec?.containers ?? []),
      ],
    },
  }
}

export type LogEntry = { msg: string } & Record<string, unknown>

/** The sidecar's log (or the restore init container's), line by line; what is not JSON is left out. */
export function sidecarEntries(pod: Pod, container = sidecar): LogEntry[] {
  return pod.logLines(container).flatMap(({ text }) => {
    try {
      return text.startsWith('{') ? [JSON.parse(text) as LogEntry] : []
    } catch {
      return []
    }
  })
}

export type PodStatusReport = {
  memory: {
    container: string
    watch: string
    lastAnswer?: Record<string, unknown>
    event?: { reason: string }
  }[]
  residentBytes: number
  missingTools: string[]
  containers: {
    container: string
    state: { at: string } & Record<string, unknown>
    storing?: boolean
    restoredFrom?: string
    restorePhases?: Record<string, number>
    lostAttributes: string[]
    rejected: { id: string; reason: string; detail: string }[]
    lastCheckpoint?: {
      outcome: string
      id?: string
      reason?: string
      detail?: string
      connections?: Record<'kept' | 'outside' | 'neighbours' | 'unaccepted' | 'unread', number>
    }
  }[]
  sources: { source: string; reachable: boolean; answers: number; noticesSeen: number }[]
  notices: { lastAnswer?: { answer: string; because: string; plan: string } }
  interval?: { container: string; everyMs: number; nextAt: string; noProgressSince?: string }[]
}

/** The sidecar's /status. */
export async function statusOf(pod: Pod): Promise<PodStatusReport> {
  return JSON.parse(await askStatusPort(pod, '/status')) as PodStatusReport
}

/** The samples of its /metrics whose names begin so. */
export async function metricsOf(pod: Pod, prefix: string): Promise<string[]> {
  const lines = (await askStatusPort(pod, '/metrics')).split('\n')
  return lines.filter((line) => line.startsWith(prefix))
}

/** Asked for in the pod's network: the port is open on 127.0.0.1 only. */
function askStatusPort(pod: Pod, path: string): Promise<string> {
  const ask = `fetch('http://127.0.0.1:${statusPort}${path}').then((it) => it.text()).then((it) => console.log(it))`
  const argv = ['nsenter', `--net=/proc/${pod.podPid}/ns/net`, process.execPath, '-e', ask]
  return must(argv, { deadlineMs })
}

export type ControlAnswer = Record<string, { outcome: string; id?: string; reason?: string }> & {
  error?: string
}

/** A manual request, as a person makes it in the sidecar. */
export async function askControl(pod: Pod, request: object): Promise<ControlAnswer> {
  const ask = `const s = require('node:net').connect('/reprieve/run/control.sock', () => s.write(process.argv[1] + '\\n'));s.pipe(process.stdout)`
  const result = await pod.exec(sidecar, ['/usr/local/bin/node', '-e', ask, JSON.stringify(request)], {
    deadlineMs,
  })
  if (result.code !== 0) throw new Error(`the control socket: ${JSON.stringify(result)}\n${pod.describe()}`)
  return JSON.parse(result.stdout) as ControlAnswer
}

/** The container's exit code, from the pod's status. @throws Error while it runs */
export function exitCodeOf(pod: Pod, container = application): number {
  const { state } = pod.container(container)
  if (state.kind !== 'terminated') throw new Error(`${container} has not ended\n${pod.describe()}`)
  return state.exitCode
}

/** The numbers in the application's log lines that match, whose first group is a number. */
export function numbersIn(pod: Pod, pattern: RegExp, container = application): number[] {
  return pod.logLines(container).flatMap(({ text }) => {
    const match = pattern.exec(text)
    return match === null ? [] : [Number(match[1])]
  })
}

/**
 * Runs a pod until its application has said `line`, evicts it, and runs its replacement until that has said it, too.
 * @param sources what the cluster gives to the first pod (0) and to its replacement (1)
 */
export async function replaced(
  stage: Stage,
  options: PodOptions,
  line: RegExp,
  sources: (round: 0 | 1) => VolumeSources = () => ({}),
): Promise<{ before: Pod; after: Pod }> {
  const before = await stage.run(podOf(options), sources(0))
  await before.waitForLog(application, line, { deadlineMs })
  await before.evict()
  const after = await stage.run(podOf(options), sources(1))
  const began = await after.waitForLog(sidecar, /went on from its checkpoint|from its beginning/, {
    deadlineMs,
  })
  if (!/went on/.test(began.text))
    throw new Error(`the replacement began anew: ${lastOutcomes(before, after)}`)
  await after.waitForLog(application, line, { deadlineMs })
  return { before, after }
}

/** Why there was no checkpoint, or none that could be restored. */
function lastOutcomes(before: Pod, after: Pod): string {
  const entries = [before, after]
    .flatMap((pod) => sidecarEntries(pod))
    .filter(({ level }) => level === 'error')
  return JSON.stringify(entries.map(({ msg, err }) => [msg, err]))
}
