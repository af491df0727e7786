/**
 * `make e2e`: on the cluster that KUBECONFIG names, with the image IMAGE, and its control plane's, that its nodes can pull or already have.
 *   KUBECONFIG=… IMAGE=registry/reprieve:tag make e2e
 *   APPLICATION_IMAGE=…                 runs as the application: any image with a shell (default: busybox)
 *   WITHOUT_CAPABILITIES=SYS_RESOURCE   leaves capabilities out of the sidecar, where the nodes themselves lack them
 *   NODE_NAME=…                         runs the test's pods there (default: the first node that pods can be scheduled on)
 * Installs the manifests, runs a StatefulSet, a Deployment, a ReplicationController and a Job, deletes, evicts and drains their pods, tries to get into the sidecar,
 * takes the webhook away, and cleans up after itself.
 */
import { strict as assert } from 'node:assert'
import { describeError } from '../../src/errors.ts'
import { assertFailsClosed, assertGuarded, developers } from './guard.ts'
import { awayWith, install, storeFolder } from './installation.ts'
import { makeKubectl, until, type Kubectl } from './kubectl.ts'
import { assertExamples, assertManifests } from './manifests.ts'
import { assertWentOn, lastWords, readSteps, runningPod } from './stories.ts'
import {
  barePod,
  deployment,
  job,
  replicationController,
  statefulSet,
  storeSweeper,
  userNamespace,
} from './workloads.ts'

const jobSteps = 100
const say = (line: string) => process.stdout.write(`${line}\n`)
const kubectl = makeKubectl(240_000)
const results: { name: string; ms: number; error?: unknown }[] = []

const { KUBECONFIG, IMAGE, WITHOUT_CAPABILITIES = '', NODE_NAME } = process.env
const application = process.env.APPLICATION_IMAGE ?? 'docker.io/library/busybox:1.37'
const missing = Object.entries({ KUBECONFIG, IMAGE }).filter(([, value]) => (value ?? '') === '')
if (IMAGE === undefined || missing.length > 0) {
  say(
    `e2e: set ${missing.map(([name]) => name).join(' and ')}, e.g. KUBECONFIG=~/.kube/config IMAGE=registry/reprieve:tag make e2e`,
  )
  process.exit(2)
}

const node = NODE_NAME ?? (await firstNode(kubectl))
say(`cluster ${(await kubectl('config', 'current-context')).trim()}, node ${node}, image ${IMAGE}`)
const capabilities = WITHOUT_CAPABILITIES.split(',').filter((name) => name !== '')
const installation = await install(kubectl, IMAGE, capabilities, say).catch((error: unknown) => {
  say(`e2e: Reprieve could not be installed: ${describeError(error)}`)
  process.exit(1)
})
try {
  await kubectl.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: userNamespace } }])
  await tell('the API server takes every manifest, with every choice', () => assertManifests(kubectl, say))
  await tell('and every example', () => assertExamples(say))
  await tell('a deleted pod of a StatefulSet goes on at the next step', () =>
    deleteStory('count', statefulSet(application, node)),
  )
  await tell('a drained pod of a StatefulSet goes on at the next step', drainStory)
  await tell('who may exec into a protected pod gets into the application, and not into the sidecar', () =>
    guardStory(application),
  )
  await tell('while no replica answers, pods are made unprotected and only the sidecar is out of reach', () =>
    awayStory(application),
  )
  await tell('a deleted pod of a Deployment goes on, though its replacement begins before it has ended', () =>
    deleteStory('serve', deployment(application, node)),
  )
  await tell('so does one of a controller that Reprieve knows nothing of, past the guard', () =>
    deleteStory('old', replicationController(application, node)),
  )
  await tell('an evicted pod of a Job goes on, and the Job completes', () => jobStory(application))
} finally {
  await cleanUp(application)
}
const failed = results.filter((result) => result.error !== undefined)
say(`${results.length - failed.length} passed, ${failed.length} failed`)
process.exitCode = failed.length > 0 || results.length === 0 ? 1 : 0

/** @param app of the workload's pods */
async function deleteStory(app: string, workload: object): Promise<void> {
  await kubectl.apply([workload])
  const { pod } = await runningPod(kubectl, app, 10)
  const words = lastWords(kubectl, pod.metadata.name)
  await kubectl('delete', 'pod', pod.metadata.name, `--namespace=${userNamespace}`, '--wait=true')
  const before = await words
  const after = await runningPod(kubectl, app, (before.steps.at(-1) ?? 0) + 5, pod.metadata.uid)
  assertWentOn(before, after)
  say(`  step ${before.steps.at(-1)} → deleted → step ${after.steps[0]}`)
}

async function drainStory(): Promise<void> {
  const { pod, steps } = await runningPod(kubectl, 'count', 0)
  const words = lastWords(kubectl, pod.metadata.name)
  try {
    await kubectl(
      'drain',
      node,
      '--pod-selector=app=count',
      '--delete-emptydir-data',
      '--ignore-daemonsets',
      '--timeout=200s',
    )
  } finally {
    await kubectl('uncordon', node)
  }
  const before = await words
  const after = await runningPod(kubectl, 'count', (before.steps.at(-1) ?? 0) + 5, pod.metadata.uid)
  assertWentOn(before, after)
  say(`  step ${before.steps.at(-1)} (watched from ${steps[0]}) → drained → step ${after.steps[0]}`)
}

async function guardStory(image: string): Promise<void> {
  await kubectl.apply(developers())
  const { pod } = await runningPod(kubectl, 'count', 0)
  await assertGuarded(kubectl, pod.metadata.name, image)
}

async function awayStory(image: string): Promise<void> {
  const { pod } = await runningPod(kubectl, 'count', 0)
  await awayWith(kubectl, async () => {
    await kubectl.apply([barePod('made-meanwhile', image, node)])
    const made = await runningPod(kubectl, 'bare', 0)
    assert.equal(made.pod.metadata.labels?.['reprieve.dev/injected'], undefined)
    await assertFailsClosed(kubectl, pod.metadata.name)
  })
  await kubectl('delete', 'pod/made-meanwhile', `--namespace=${userNamespace}`, '--wait=true')
}

async function jobStory(image: string): Promise<void> {
  await kubectl.apply([job(image, node, jobSteps)])
  const { pod } = await runningPod(kubectl, 'sum', 20)
  const words = lastWords(kubectl, pod.metadata.name)
  await evict(kubectl, pod.metadata.name)
  const before = await words
  const after = await runningPod(kubectl, 'sum', (before.steps.at(-1) ?? 0) + 2, pod.metadata.uid)
  const followed = await lastWords(kubectl, after.pod.metadata.name)
  assertWentOn(before, followed)
  await kubectl(
    'wait',
    '--for=condition=Complete',
    'job/sum',
    `--namespace=${userNamespace}`,
    '--timeout=120s',
  )
  const log = await kubectl(
    'logs',
    `--namespace=${userNamespace}`,
    after.pod.metadata.name,
    '--container=count',
  )
  if (!log.includes(`finished ${jobSteps} `))
    throw new Error(`the Job's last pod did not say that it finished: ${log.slice(-200)}`)
  say(`  step ${before.steps.at(-1)} → evicted → step ${readSteps(log).steps[0]} → finished ${jobSteps}`)
}

async function evict(kubectl: Kubectl, name: string): Promise<void> {
  const path = `/api/v1/namespaces/${userNamespace}/pods/${name}/eviction`
  const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: userNamespace } }
  const { mkdtemp, writeFile, rm } = await import('node:fs/promises')
  const folder = await mkdtemp('/tmp/reprieve-evict-')
  try {
    await writeFile(`${folder}/eviction.json`, JSON.stringify(body))
    await kubectl('create', '--raw', path, '--filename', `${folder}/eviction.json`)
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function firstNode(kubectl: Kubectl): Promise<string> {
  type Node = {
    metadata: { labels: Record<string, string> }
    spec: { unschedulable?: boolean; taints?: { effect: string }[] }
  }
  const { items } = await kubectl.json<{ items: Node[] }>('get', 'nodes')
  const free = items.find(
    ({ spec }) => !spec.unschedulable && !spec.taints?.some(({ effect }) => effect !== 'PreferNoSchedule'),
  )
  const name = free?.metadata.labels['kubernetes.io/hostname']
  if (name === undefined) throw new Error('no node of the cluster takes pods: set NODE_NAME')
  return name
}

async function tell(name: string, story: () => Promise<void>): Promise<void> {
  const began = performance.now()
  try {
    await story()
    results.push({ name, ms: performance.now() - began })
    say(`ok - ${name} (${Math.round(performance.now() - began)} ms)`)
  } catch (error) {
    results.push({ name, ms: performance.now() - began, error })
    say(`not ok - ${name}: ${describeError(error)}`)
    await explain()
  }
}

/** What a person needs to see why. */
async function explain(): Promise<void> {
  const questions = [
    ['get', 'pods', '--output=wide'],
    ['get', 'events', '--sort-by=.lastTimestamp'],
    ['logs', '--selector=reprieve.dev/injected=true', '--container=reprieve-sidecar', '--tail=50'],
    ['logs', '--selector=reprieve.dev/injected=true', '--container=reprieve-restore', '--tail=50'],
  ]
  for (const question of questions)
    await kubectl(`--namespace=${userNamespace}`, ...question).then(say, (error: unknown) =>
      say(describeError(error)),
    )
}

async function cleanUp(image: string): Promise<void> {
  say('cleaning up')
  try {
    await kubectl(
      'delete',
      'statefulsets,deployments,jobs',
      '--all',
      `--namespace=${userNamespace}`,
      '--wait=true',
      '--timeout=120s',
    )
    await kubectl.apply([storeSweeper(image, node, storeFolder)])
    await until('the store to be swept', 60_000, async () => {
      const pod = await kubectl.json<{ status: { phase: string } }>(
        'get',
        'pod/sweep-store',
        `--namespace=${userNamespace}`,
      )
      return pod.status.phase === 'Succeeded' ? true : undefined
    })
  } finally {
    await kubectl('delete', 'namespace', userNamespace, '--ignore-not-found', '--wait=true', '--timeout=180s')
    await installation.remove()
  }
}
