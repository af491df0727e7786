/**
 * An injected container, compared with the one that this version writes. Free are its amounts of resources (LimitRanger, quotas and autoscalers set them) and the
 * digest of its image (image policies resolve tags). Others may add what they add to every container of a pod: the token of its service
 * account, a cloud's identity, a proxy. What could run code in it, or show it other files, is nobody's.
 */
import { isDeepStrictEqual } from 'node:util'
import { volumeOf } from '../container-volumes.ts'
import { at, listAt } from '../json-path.ts'
import type { Pod } from '../pod.ts'
import { isRecord } from '../shape.ts'

const free = new Set(['resizePolicy'])

/** How much of these a container gets is free. A device, by claim or by name, would be one more way into the node. */
const ordinaryResources = new Set(['cpu', 'memory', 'ephemeral-storage'])

/**
 * Variables that others put into all containers, and that no program of ours reads:
 * https://github.com/aws/amazon-eks-pod-identity-webhook, https://azure.github.io/azure-workload-identity/docs/topics/mutating-admission-webhook.html,
 * https://github.com/pfnet-research/gcp-workload-identity-federation-webhook (webhooks/mutatepod_parts.go; GKE itself injects none),
 * https://www.alibabacloud.com/help/en/ack/ack-managed-and-ack-dedicated/user-guide/use-rrsa-to-authorize-pods-to-access-different-cloud-services,
 * and the proxies of a cluster. A list and no pattern: NODE_OPTIONS or LD_PRELOAD would be code of another's.
 */
export const foreignVariables: ReadonlySet<string> = new Set([
  'ALIBABA_CLOUD_OIDC_PROVIDER_ARN', 'ALIBABA_CLOUD_OIDC_TOKEN_FILE', 'ALIBABA_CLOUD_ROLE_ARN', 'ALIBABA_CLOUD_STS_ENDPOINT',
  'ALIBABA_CLOUD_STS_REGION', 'ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE', 'AWS_CONTAINER_CREDENTIALS_FULL_URI', 'AWS_DEFAULT_REGION', 'AWS_REGION', 'AWS_ROLE_ARN',
  'AWS_STS_REGIONAL_ENDPOINTS', 'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AZURE_AUTHORITY_HOST', 'AZURE_CLIENT_ID', 'AZURE_FEDERATED_TOKEN_FILE', 'AZURE_TENANT_ID',
  'CLOUDSDK_COMPUTE_REGION', 'CLOUDSDK_CONFIG', 'CLOUDSDK_CORE_PROJECT', 'GOOGLE_APPLICATION_CREDENTIALS',
  'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy',
  'KUBERNETES_PORT', 'KUBERNETES_PORT_443_TCP', 'KUBERNETES_PORT_443_TCP_ADDR', 'KUBERNETES_SERVICE_HOST', 'TZ',
]) // prettier-ignore

/** Where tokens are mounted: the API server's, and those of clouds. Nothing of ours lies there, and nothing there is run. */
const tokensPath = '/var/run/secrets/'

/** @returns the first field that is another; undefined if none is */
export function differingField(expected: object, actual: unknown, pod: Pod): string | undefined {
  if (!isRecord(actual)) return 'the whole'
  const fields = new Set([...Object.keys(expected), ...Object.keys(actual)])
  return [...fields].find((field) => {
    if (free.has(field)) return false
    return !(comparisons[field] ?? isSame)(at(expected, field), at(actual, field), pod)
  })
}

type Comparison = (expected: unknown, actual: unknown, pod: Pod) => boolean

const comparisons: Readonly<Record<string, Comparison>> = {
  image: isSameImage,
  // The admission plugin AlwaysPullImages.
  imagePullPolicy: (expected, actual) => actual === expected || actual === 'Always',
  env: (expected, actual) => isWithAdditions(expected, actual, isForeignVariable),
  volumeMounts: (expected, actual, pod) =>
    isWithAdditions(expected, actual, (mount) => isTokenMount(mount, pod)),
  securityContext: isSameContext,
  resources: (_, actual) => isWithoutDevices(actual),
}

function isWithoutDevices(resources: unknown): boolean {
  const names = ['requests', 'limits'].flatMap((which) => Object.keys(at(resources, which) ?? {}))
  return listAt(at(resources, 'claims')).length === 0 && names.every((name) => ordinaryResources.has(name))
}

/** The expected ones, in their order, with nothing but what is allowed besides: of two variables of a name the last one counts. */
function isWithAdditions(expected: unknown, actual: unknown, isAllowed: (one: unknown) => boolean): boolean {
  return isSame(
    expected,
    listAt(actual).filter((one) => !isAllowed(one)),
  )
}

/** One that others may put into our containers. */
export function isForeignVariable(variable: unknown): boolean {
  return foreignVariables.has(String(at(variable, 'name')))
}

/** Likewise. */
export function isTokenMount(mount: unknown, pod: Pod): boolean {
  const path = String(at(mount, 'mountPath'))
  const volume = volumeOf(pod, { name: at(mount, 'name') })
  return (
    path.startsWith(tokensPath) &&
    !path.split('/').includes('..') &&
    at(mount, 'readOnly') === true &&
    // Google's webhook mounts an annotation of the pod, by the downward API, beside the token.
    (isRecord(at(volume, 'projected')) || isRecord(at(volume, 'downwardAPI')))
  )
}

/** An older API server knows no AppArmor profile and leaves it out, which confines more; others write procMount's default. */
function isSameContext(expected: unknown, actual: unknown): boolean {
  if (!isRecord(expected) || !isRecord(actual)) return false
  const { appArmorProfile, ...others } = expected
  const { procMount = 'Default', ...given } = actual
  return (
    procMount === 'Default' && (isSame({ ...others, appArmorProfile }, given) || isSame(others, { ...given }))
  )
}

/** A tag may have been resolved to a digest, with the tag kept or not; a digest that the administrator chose stays. */
function isSameImage(expected: unknown, actual: unknown): boolean {
  if (actual === expected) return true
  if (typeof expected !== 'string' || typeof actual !== 'string' || expected.includes('@')) return false
  const [name, digest, ...more] = actual.split('@')
  return (
    digest !== undefined &&
    more.length === 0 &&
    /^sha256:[0-9a-f]{64}$/.test(digest) &&
    (name === expected || name === expected.replace(/:[^:/]*$/, ''))
  )
}

function isSame(expected: unknown, actual: unknown): boolean {
  return isDeepStrictEqual(withoutGaps(expected), withoutGaps(actual))
}

/** Absent, null and an empty list mean the same in Kubernetes' JSON. */
export function withoutGaps(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(withoutGaps)
  if (!isRecord(value)) return value ?? undefined
  const fields = Object.entries(value).map(([name, inner]) => [name, withoutGaps(inner)] as const)
  return Object.fromEntries(fields.filter(([, inner]) => inner !== undefined))
}
