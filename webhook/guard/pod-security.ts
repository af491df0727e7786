/**
 * Pods of a namespace that Reprieve holds to a Pod Security Standard (label `reprieve.dev/pod-security`). Kubernetes' own admission knows a namespace
 * only as a whole, and would refuse the sidecar: so here all are held to the standard but our containers and our volumes, and these only where they
 * are genuine. https://kubernetes.io/docs/concepts/security/pod-security-admission/
 */
import { isDeepStrictEqual } from 'node:util'
import type { Config } from '../../src/config.ts'
import { bounded } from '../bounded-texts.ts'
import { isSystemNamespace } from '../decide.ts'
import { at, listAt } from '../json-path.ts'
import { isPod, type Pod } from '../pod.ts'
import { appArmorAnnotation } from '../pod-security/baseline.ts'
import type { Held } from '../pod-security/held.ts'
import { standardsVersion, violationsOf, type Standard } from '../pod-security/standards.ts'
import type { AdmissionRequest } from '../review.ts'
import { whyNotGenuine } from './genuine.ts'
import { containersIn, isReprieveContainer, isReprieveVolume, reprieveContainersIn } from './ours.ts'
import { allowed, denied, type Verdict } from './reasons.ts'

export function judgePodSecurity(request: AdmissionRequest, standard: Standard, config: Config): Verdict {
  const { operation, resource, subResource, object, oldObject } = request
  if (resource.group || resource.resource !== 'pods') return allowed
  const namespace = request.namespace || String(at(object, 'metadata', 'namespace') ?? '')
  if (isSystemNamespace(namespace, config)) return allowed
  const isCreation = operation === 'CREATE' && !subResource
  const isUpdate = operation === 'UPDATE' && (!subResource || subResource === 'ephemeralcontainers')
  if (!isCreation && !isUpdate) return allowed
  if (!isPod(object)) return denied('review-unreadable', 'the pod is not of a known form')
  if (isUpdate && !changesWhatRuns(object, oldObject)) return allowed
  const whyNotOurs = whyNotExempt(object, isUpdate ? oldObject : undefined, { namespace, config })
  const problems = violationsOf(heldOf(object, whyNotOurs === undefined), standard)
  if (problems.length === 0) return allowed
  // Of a pod in which nothing looks like ours, there is nothing to say about it.
  const ours = reprieveContainersIn(object).size > 0 ? whyNotOurs : undefined
  return denied(
    'violates-pod-security',
    `violates the Pod Security Standard "${standard}" (${standardsVersion}), to which the label reprieve.dev/pod-security holds this namespace: ${bounded(problems).join('; ')}${ours === undefined ? '' : `. Reprieve's containers are held to it, too, because ${ours}`}`,
  )
}

/** As Kubernetes' own admission: labels, finalizers and tolerations may change in a pod that was there before the label. */
function changesWhatRuns(now: Pod, before: unknown): boolean {
  return !isDeepStrictEqual(imagesOf(now), imagesOf(before))
}

function imagesOf(pod: unknown): unknown[] {
  return containersIn(pod).map((container) => [at(container, 'name'), at(container, 'image')])
}

/**
 * Undefined where what has our names is ours. Containers and volumes of a pod that runs cannot be added: those of an earlier version of Reprieve stay
 * exempt as they were, as long as no container that is added mounts them.
 */
function whyNotExempt(
  pod: Pod,
  before: unknown,
  { namespace, config }: { namespace: string; config: Config },
): string | undefined {
  const why = whyNotGenuine(pod, namespace, config)
  if (why === undefined || before === undefined) return why
  const ours = reprieveContainersIn(before)
  const isUnchanged = ours.size === 2 && isDeepStrictEqual(reprieveContainersIn(pod), ours)
  const old = new Set(containersIn(before).map((container) => at(container, 'name')))
  const added = containersIn(pod).filter((container) => !old.has(at(container, 'name')))
  return isUnchanged && !added.some(mountsOurs) ? undefined : why
}

function mountsOurs(container: unknown): boolean {
  return ['volumeMounts', 'volumeDevices'].some((list) =>
    listAt(at(container, list)).some((mount) => isReprieveVolume(at(mount, 'name'))),
  )
}

function heldOf(pod: Pod, areOursExempt: boolean): Held {
  const ours = areOursExempt ? new Set<unknown>(reprieveContainersIn(pod).values()) : new Set()
  return {
    annotations: areOursExempt ? withoutOurs(pod.metadata.annotations ?? {}) : pod.metadata.annotations,
    spec: pod.spec,
    containers: containersIn(pod).filter((container) => !ours.has(container)),
    volumes: (pod.spec.volumes ?? []).filter(({ name }) => !(areOursExempt && isReprieveVolume(name))),
  }
}

/** API servers before 1.34 also write a container's AppArmor profile into an annotation (kubernetes, pkg/registry/core/pod/strategy.go). */
function withoutOurs(annotations: Record<string, string>): object {
  return Object.fromEntries(
    Object.entries(annotations).filter(
      ([key]) =>
        !(key.startsWith(appArmorAnnotation) && isReprieveContainer(key.slice(appArmorAnnotation.length))),
    ),
  )
}
