/** Environment, command and downward API values, as the kubelet makes them (pkg/kubelet/kubelet_pods.go). */
import type { Image } from './image.ts'
import type { ContainerSpec, PodIdentity, PodSpec, ResourceField } from './manifest.ts'
import { parseQuantity } from './quantity.ts'

/** The contents of the config maps and secrets that a pod may name: name → key → text. */
export type Contents = {
  configMaps?: Record<string, Record<string, string>>
  secrets?: Record<string, Record<string, string>>
}

/**
 * `$(NAME)` replaced by a known variable's value, `$$(NAME)` becomes `$(NAME)`, unknown ones stay as they are
 * (third_party/forked/golang/expansion/expand.go).
 */
export function expand(text: string, known: Record<string, string>): string {
  return text.replace(/\$(\$|\(([^)]*)\))/g, (whole, sign: string, name: string | undefined) =>
    sign === '$' ? '$' : name !== undefined && Object.hasOwn(known, name) ? (known[name] ?? '') : whole,
  )
}

const list = (entries: Record<string, string>) =>
  Object.keys(entries).sort().map((key) => `${key}=${JSON.stringify(entries[key])}`).join('\n') // prettier-ignore

/** `fieldRef` values (pkg/fieldpath/fieldpath.go and podFieldSelectorRuntimeValue). */
export function fieldValue(path: string, pod: PodIdentity): string {
  const keyed = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path)
  if (keyed) return (keyed[1] === 'labels' ? pod.labels : pod.annotations)[keyed[2] ?? ''] ?? ''
  const values: Record<string, () => string> = {
    'metadata.name': () => pod.name,
    'metadata.namespace': () => pod.namespace,
    'metadata.uid': () => pod.uid,
    'metadata.labels': () => list(pod.labels),
    'metadata.annotations': () => list(pod.annotations),
    'spec.nodeName': () => pod.nodeName,
    'spec.serviceAccountName': () => pod.serviceAccountName,
    'status.podIP': () => pod.podIp,
    'status.podIPs': () => pod.podIp,
    'status.hostIP': () => pod.hostIp,
    'status.hostIPs': () => pod.hostIp,
  }
  const value = values[path]
  if (value === undefined) throw new Error(`the harness has no fieldRef ${path}`)
  return value()
}

/** `resourceFieldRef` values, rounded up to the divisor (pkg/api/v1/resource/helpers.go). */
export function resourceValue(field: ResourceField, own: ContainerSpec, spec: PodSpec): string {
  const all = [...(spec.initContainers ?? []), ...spec.containers]
  const container =
    field.containerName === undefined ? own : all.find(({ name }) => name === field.containerName)
  const [kind, resource = ''] = field.resource.split(/\.(.*)/)
  const quantities = kind === 'limits' ? container?.resources?.limits : container?.resources?.requests
  const divisor = field.divisor === undefined || field.divisor === '0' ? 1 : parseQuantity(field.divisor)
  return String(Math.ceil(parseQuantity(quantities?.[resource] ?? 0) / divisor))
}

/** The image's variables, then HOSTNAME (containerd adds it), then the pod's own, each may use those before it. */
export function environmentOf(
  spec: ContainerSpec,
  pod: PodSpec,
  identity: PodIdentity,
  image: Image,
  contents: Contents,
): Record<string, string> {
  const known: Record<string, string> = {}
  const reference = (
    kind: 'configMaps' | 'secrets',
    ref: { name: string; key: string; optional?: boolean },
  ) => {
    const value = contents[kind]?.[ref.name]?.[ref.key]
    if (value === undefined && ref.optional !== true)
      throw new Error(`${kind} ${ref.name} has no key ${ref.key}`)
    return value
  }
  for (const { name, value, valueFrom } of spec.env ?? []) {
    const text =
      valueFrom?.fieldRef !== undefined ? fieldValue(valueFrom.fieldRef.fieldPath, identity)
      : valueFrom?.resourceFieldRef !== undefined ? resourceValue(valueFrom.resourceFieldRef, spec, pod)
      : valueFrom?.configMapKeyRef !== undefined ? reference('configMaps', valueFrom.configMapKeyRef)
      : valueFrom?.secretKeyRef !== undefined ? reference('secrets', valueFrom.secretKeyRef)
      : expand(value ?? '', known) // prettier-ignore
    if (text !== undefined) known[name] = text
  }
  const fromImage = (image.config.env ?? []).map(
    (entry) => entry.split(/=(.*)/s).slice(0, 2) as [string, string],
  )
  return { PATH: defaultPath, ...Object.fromEntries(fromImage), HOSTNAME: identity.hostname, ...known }
}

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * What the container runs: a `command` replaces the image's ENTRYPOINT and its CMD, `args` replaces CMD
 * (https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/).
 */
export function argvOf(spec: ContainerSpec, image: Image, environment: Record<string, string>): string[] {
  const expanded = (list: string[] | undefined) => list?.map((text) => expand(text, environment))
  const command = expanded(spec.command)
  const args = expanded(spec.args)
  const hasCommand = command !== undefined && command.length > 0
  const hasArgs = args !== undefined && args.length > 0
  const argv = [
    ...(hasCommand ? command : (image.config.entrypoint ?? [])),
    ...(hasArgs ? args : hasCommand ? [] : (image.config.cmd ?? [])),
  ]
  if (argv.length === 0) throw new Error(`container ${spec.name}: no command specified`) // containerd's own words
  return argv
}
