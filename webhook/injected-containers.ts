/** The two containers that injection adds. Neither has a probe: a broken sidecar must never hold a pod up, nor unready. */
import type { Config, ResourceList } from '../src/config.ts'
import { planVariable, type PodPlan } from '../src/pod-plan.ts'
import { volumePaths, volumeRoot } from '../src/volume.ts'
import { restoreCapabilities, sidecarCapabilityNames } from './capabilities.ts'
import { imagePaths, injectedNames, sidecarNodeFlags } from './image-paths.ts'
import { resourcesFor, type QosClass } from './quality-of-service.ts'
import { isMountedWhole, namespaceVariable, storeMount } from './store-place.ts'

/** A container, and its JSON. All but the plan is the same for every pod of a class, and nearly all of a patch: it is written once. */
export type Written = { container: object; text: string }

type Framed = { env: readonly object[] } & Record<string, unknown>
type Frame = { container: Framed; head: string; tail: string }

const framesByConfig = new WeakMap<Config, Map<string, Frame[]>>()

/**
 * What of the pod shows in our containers: its class, what its protected containers may do beyond the default, and what the sidecar has to request
 * in any case.
 */
export type Surrounding = { qos: QosClass; capabilities: readonly string[]; requests: ResourceList }

type Given = Surrounding & { store: string }

/** The restore init container, then the sidecar. */
export function injectedContainers(plan: PodPlan, config: Config, pod: Surrounding): Written[] {
  const written = planText(plan)
  const quoted = JSON.stringify(written)
  return framesOf(config, { ...pod, store: plan.store.name }).map(({ container, head, tail }) => ({
    container: { ...container, env: [{ name: planVariable, value: written }, ...container.env.slice(1)] },
    text: head + quoted + tail,
  }))
}

/** Kept for pods that add no capabilities, as most do: there are as many sets of them as people think of. */
function framesOf(config: Config, pod: Given): Frame[] {
  const make = () => [restoreContainer('', config, pod), sidecarContainer('', config, pod)].map(frameOf)
  if (pod.capabilities.length > 0) return make()
  let frames = framesByConfig.get(config)
  if (frames === undefined) framesByConfig.set(config, (frames = new Map<string, Frame[]>()))
  const kind = [pod.qos, isMountedWhole(pod.store, config), ...Object.keys(pod.requests)].join(' ')
  let found = frames.get(kind)
  if (found === undefined) frames.set(kind, (found = make()))
  return found
}

function frameOf(container: Framed): Frame {
  // The plan's variable is the first one, and no field that comes before it has variables.
  const gap = `"env":[{"name":"${planVariable}","value":`
  const text = JSON.stringify(container)
  const at = text.indexOf(gap) + gap.length
  return { container, head: text.slice(0, at), tail: text.slice(at + '""'.length) }
}

/**
 * Runs once, before everything of the user's, and ends with 0 by its deadline whatever happens: `guard --once` sees to
 * that.
 */
function restoreContainer(text: string, config: Config, { qos, store }: Given): Framed {
  return {
    name: injectedNames.restoreContainer,
    ...common(text, config, store),
    command: [
      imagePaths.launcher,
      'guard',
      '--once',
      `--deadline-ms=${config.restoreBudgetMs}`,
      // The application's container starts with it, also where nothing else of this one comes to pass.
      `--provide=${volumePaths.launcher}`,
      '--',
      imagePaths.node,
      imagePaths.restoreMain,
    ],
    resources: resourcesFor(qos, config.restore.resources),
    securityContext: {
      ...asRoot,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'], add: [...restoreCapabilities] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
  }
}

/** A native sidecar: an init container that is restarted always, and outlives the main containers. */
function sidecarContainer(
  text: string,
  config: Config,
  { qos, capabilities, requests, store }: Given,
): Framed {
  return {
    name: injectedNames.sidecarContainer,
    ...common(text, config, store),
    ...metricsPort(config),
    command: [
      imagePaths.launcher,
      'guard',
      // Nobody else alive could, until the next one of what it guards has started.
      `--thaw=${volumePaths.run}`,
      '--',
      imagePaths.node,
      ...sidecarNodeFlags,
      imagePaths.sidecarMain,
    ],
    restartPolicy: 'Always',
    resources: resourcesFor(qos, config.sidecar.resources, requests),
    securityContext: {
      ...asRoot,
      // Kubernetes refuses SYS_ADMIN without it; and no_new_privs would stay on whatever the sidecar restores.
      allowPrivilegeEscalation: true,
      capabilities: capabilitiesOf(sidecarCapabilityNames(config.sidecar.withoutCapabilities, capabilities)),
      seccompProfile: { type: 'Unconfined' },
      appArmorProfile: { type: 'Unconfined' },
    },
  }
}

/** Runtimes apply "drop ALL" after "add ALL" (containerd/internal/cri/server/container_create.go): together they would leave nothing. */
function capabilitiesOf(add: string[]): object {
  return add.includes('ALL') ? { add } : { drop: ['ALL'], add }
}

/** For scrapers, which find what is declared; nothing is said of a port that nobody outside the pod can reach. */
function metricsPort({ statusHost, statusPort }: Config): object {
  if (statusHost === '127.0.0.1' || statusPort === 0) return {}
  return { ports: [{ name: injectedNames.metricsPort, containerPort: statusPort, protocol: 'TCP' }] }
}

/** Said in full, since the pod's own security context would fill in what is left out. */
const asRoot = {
  privileged: false,
  readOnlyRootFilesystem: true,
  runAsGroup: 0,
  runAsNonRoot: false,
  runAsUser: 0,
}

function common(text: string, config: Config, store: string): Framed {
  return {
    image: config.image,
    imagePullPolicy: config.imagePullPolicy,
    env: [
      { name: planVariable, value: text },
      fromField('REPRIEVE_POD_NAME', 'metadata.name'),
      fromField('REPRIEVE_POD_UID', 'metadata.uid'),
      fromField('REPRIEVE_NODE_NAME', 'spec.nodeName'),
      fromField(namespaceVariable, 'metadata.namespace'),
    ],
    volumeMounts: [
      { name: injectedNames.volume, mountPath: volumeRoot },
      { name: injectedNames.stagingVolume, mountPath: volumePaths.staging },
      storeMount(store, config),
    ],
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
  }
}

function fromField(name: string, fieldPath: string): object {
  return { name, valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath } } }
}

/** The plan as it stands in our containers' environment. The kubelet expands `$(NAME)` there, and reads `$$` as a dollar sign. */
export function planText(plan: PodPlan): string {
  return JSON.stringify(plan).replaceAll('$', () => '$$')
}
