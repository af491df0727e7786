/**
 * Whether what looks like Reprieve's in a pod is what this version renders from the pod's plan. The sidecar is root with SYS_ADMIN: one word more in
 * its command, one variable or one volume of another's choice is root on the node. So everything is compared for equality, and what others
 * may rightly change is named here. Pure.
 */
import { isDeepStrictEqual } from 'node:util'
import { readWishes } from '../../src/annotations.ts'
import type { Config } from '../../src/config.ts'
import type { PodPlan } from '../../src/pod-plan.ts'
import { grantedCapabilities } from '../added-capabilities.ts'
import { writableMounts } from '../container-volumes.ts'
import { planFor } from '../decide.ts'
import { injectedPlan, isInjected, ourContainers } from '../injected.ts'
import { injectedContainers } from '../injected-containers.ts'
import { at, listAt } from '../json-path.ts'
import { injectedVolumes, launcherMount } from '../mutate.ts'
import { podLineage } from '../pod-lineage.ts'
import type { Pod } from '../pod.ts'
import { qosClassOf } from '../quality-of-service.ts'
import { containersIn, isReprieveContainer, isReprieveVolume } from './ours.ts'
import { differingField, withoutGaps } from './same-container.ts'

/** @returns undefined for a pod that Reprieve has protected as this version does */
export function whyNotGenuine(pod: Pod, namespace: string, config: Config): string | undefined {
  if (!isInjected(pod, namespace, config)) return 'its plan is not the plan of this very pod'
  const plan = injectedPlan(pod)
  if (plan === undefined) return 'its plan cannot be read'
  return (
    planProblem(pod, plan, namespace, config) ??
    containerProblem(pod, plan, config) ??
    volumeProblem(pod, plan, config) ??
    mountProblem(pod, plan)
  )
}

/** The fingerprint alone is believed: other webhooks may have changed the image since. With a wrong one nothing is restored. */
function planProblem(pod: Pod, plan: PodPlan, namespace: string, config: Config): string | undefined {
  const { wishes } = readWishes(pod.metadata.annotations ?? {})
  const { containers } = plan
  const lineage = podLineage(pod, namespace, wishes.key)
  const isPlanned =
    lineage.known && isDeepStrictEqual(plan, planFor({ namespace, lineage, wishes, containers }, config))
  if (!isPlanned) return 'its plan is not the one that its annotations and the configuration make'
  const strange = containers.find((container) => {
    const found = pod.spec.containers.find(({ name }) => name === container.name)
    if (found === undefined) return true
    const { emptyDirs, external } = writableMounts(pod, found)
    const socket = container.memory.resizeSocket
    return (
      container.emptyDirs.some((path) => !emptyDirs.includes(path)) ||
      container.external.some((path) => !external.includes(path)) ||
      (socket !== undefined && socket !== config.memory.resizeSocket)
    )
  })
  return strange === undefined ? undefined : `its plan says of ${strange.name} what is not so`
}

function containerProblem(pod: Pod, plan: PodPlan, config: Config): string | undefined {
  const guarded = pod.spec.containers.filter(({ name }) => plan.containers.some((one) => one.name === name))
  // Its resources are not compared.
  const surrounding = { qos: qosClassOf(pod), capabilities: grantedCapabilities(guarded), requests: {} }
  for (const { container } of injectedContainers(plan, config, surrounding)) {
    const name = String(at(container, 'name'))
    const field = differingField(
      container,
      ourContainers(pod).find((one) => one.name === name),
      pod,
    )
    if (field !== undefined) return `${field} of ${name} is not what Reprieve writes`
  }
  return undefined
}

function volumeProblem(pod: Pod, plan: PodPlan, config: Config): string | undefined {
  const store = config.stores.get(plan.store.name)
  if (store === undefined) return 'its store is none of the configuration'
  const expected = injectedVolumes(store)
  const changed = expected.find(({ name }) => {
    const found = (pod.spec.volumes ?? []).filter((volume) => volume.name === name)
    return !isDeepStrictEqual(
      found.map(withoutGaps),
      expected.filter((one) => one.name === name).map(withoutGaps),
    )
  })
  return changed === undefined ? undefined : `the volume ${changed.name} is not what Reprieve writes`
}

/** Our volumes hold what the sidecar runs as root, and everybody's checkpoints: nobody else mounts them, but for the launcher, to read it. */
function mountProblem(pod: Pod, plan: PodPlan): string | undefined {
  for (const container of containersIn(pod)) {
    const name = at(container, 'name')
    if (isReprieveContainer(name)) continue
    const isProtected = plan.containers.some((one) => one.name === name)
    const strange = [...listAt(at(container, 'volumeMounts')), ...listAt(at(container, 'volumeDevices'))]
      .filter((mount) => isReprieveVolume(at(mount, 'name')))
      .find((mount) => !(isProtected && isDeepStrictEqual(withoutGaps(mount), launcherMount)))
    if (strange !== undefined) return `${String(name)} mounts the volume ${String(at(strange, 'name'))}`
  }
  return undefined
}
