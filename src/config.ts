/**
 * The administrator's configuration: one YAML file, validated whole by its schema, with all problems in one error, then frozen.
 * Everything that a pod's owner must not choose (paths, addresses, images, capabilities) comes from here.
 */
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { parseDocument, type Document } from 'yaml'
import { durationMs, readEndpoint, readEviction, type Eviction } from './config-forms.ts'
import { validated } from './config-problems.ts'
import { optionalCapabilities, type ConfigFile } from './config-schema.ts'
import { describeError, ReprieveError } from './errors.ts'
import type { CloudPlan } from './pod-plan.ts'
import { parseQuantityBytes, parseQuantityNanos } from './quantity.ts'

/** The store of a pod that names none. */
export const defaultStore = 'default'

/** A volume source, as it stands in a pod, that carries a store's directory. The claim lies in the pod's namespace. */
export type StoreVolume = ConfigFile['stores'][string]

/** `cpu` and `memory`, as quantities. */
export type ResourceList = Readonly<{ cpu?: string; memory?: string }>
/** `guaranteed`: requests and limits at once, in a pod of the QoS class Guaranteed. */
export type ContainerResources = Readonly<{
  requests: ResourceList
  limits: ResourceList
  guaranteed: ResourceList
}>

export type OptionalCapability = (typeof optionalCapabilities)[number]

export type EntrypointConfig = Readonly<{
  /** `nowhere`: no registry is ever asked, and such containers are not protected. */
  from: 'registry' | 'nowhere'
  budgetMs: number
  /** Taken where a pod does not say on which it will run: `amd64`, `arm64`. */
  architecture: string
  plainHttp: readonly string[]
  mirrors: ReadonlyMap<string, readonly string[]>
  /** Hosts and ranges of addresses inside the network that may be asked. */
  insideRegistries: readonly string[]
  pullSecrets: 'ignore' | 'use'
  caFile?: string
  credentialsFile?: string
}>

export type MemoryConfig = Readonly<Eviction & { maxBytes?: number; resizeSocket?: string }>

export type OverloadConfig = Readonly<{ requests: number; bytes: number; delayMs: number }>

/** The file as the program reads it: durations in milliseconds, quantities in bytes, file names absolute. */
export type Config = Readonly<
  Pick<
    ConfigFile,
    | 'namespace'
    | 'image'
    | 'imagePullPolicy'
    | 'keep'
    | 'wholeStores'
    | 'statusPort'
    | 'statusHost'
    | 'guard'
    | 'fingerprint'
    | 'helpers'
    | 'resourcesWithoutDevice'
    | 'restore'
    | 'sidecar'
  > & {
    stores: ReadonlyMap<string, StoreVolume>
    retention: Readonly<{ ttlMs: number; namespaceBytes?: number }>
    runtimeClasses: ReadonlyMap<string, 'runc' | 'other'>
    checkpointBudgetMs: number
    restoreBudgetMs: number
    maxFreezeMs: number
    cloud: Readonly<CloudPlan>
    meanTimeBetweenFailuresMs: number
    memory: MemoryConfig
    entrypoints: EntrypointConfig
    overload: OverloadConfig
    listen: Readonly<Omit<ConfigFile['listen'], 'drain'> & { drainMs: number }>
  }
>

/** @throws ReprieveError `config-invalid`, naming every problem of the file */
export async function loadConfig(file: string, given: { image?: string } = {}): Promise<Config> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new ReprieveError('config-invalid', `cannot read the configuration file ${file}`, { file }, error)
  }
  return parseConfig(text, file, given)
}

/**
 * @param file relative file names in it are resolved against its folder
 * @param given the image, for a file that leaves it out: a deployment knows its own
 */
export function parseConfig(text: string, file: string, given: { image?: string } = {}): Config {
  const document = parseDocument(text)
  const invalid = (problems: string[]) =>
    new ReprieveError('config-invalid', `${file} is not a valid configuration: ${problems.join('; ')}`, {
      file,
      problems,
    })
  if (document.errors.length > 0)
    throw invalid(document.errors.map((error) => error.message.split('\n')[0] ?? ''))
  const value = withImage(withoutNulls(plainValue(document, invalid)), given.image)
  const read = validated(value)
  const problems = [
    'problems' in read ? read.problems : [],
    resourceProblems(value),
    wholeStoreProblems(value),
    authenticationProblems(value),
  ].flat()
  if (!('file' in read) || problems.length > 0) throw invalid(problems)
  return deepFreeze(configOf(read.file, dirname(file)))
}

function plainValue(document: Document, invalid: (problems: string[]) => ReprieveError): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 })
  } catch (error) {
    // An alias repeated in aliases grows without bound, and a configuration has no need of one.
    throw invalid([describeError(error)])
  }
}

/** In YAML a key without a value is null: it means the same as a key that is left out. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).filter(([, inner]) => inner !== null)
  return Object.fromEntries(fields.map(([name, inner]) => [name, withoutNulls(inner)]))
}

function withImage(value: unknown, image: string | undefined): unknown {
  const isMapping = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isMapping && image !== undefined ? { image, ...value } : value
}

/** Kubernetes refuses a request above its limit, and with it every protected pod. */
function resourceProblems(value: unknown): string[] {
  return ['sidecar', 'restore'].flatMap((whose) =>
    ['cpu', 'memory'].flatMap((name) => {
      const nanos = (list: string) => {
        const text = at(value, whose, 'resources', list, name)
        return typeof text === 'string' ? parseQuantityNanos(text) : undefined
      }
      const [request, limit] = [nanos('requests'), nanos('limits')]
      if (request === undefined || limit === undefined || request <= limit) return []
      const key = `${whose}.resources.requests.${name}`
      const [asked, most] = ['requests', 'limits'].map((list) =>
        String(at(value, whose, 'resources', list, name)),
      )
      return [`${key} must be at most its limit, ${most}, not "${asked}"`]
    }),
  )
}

/** A claim lies in the namespace of its pods: it is always mounted whole, and holds nothing of others. */
function wholeStoreProblems(value: unknown): string[] {
  const names = at(value, 'wholeStores')
  const isShared = (name: unknown) =>
    ['hostPath', 'nfs'].some((kind) => at(value, 'stores', String(name), kind) !== undefined)
  return (Array.isArray(names) ? names : [])
    .filter((name) => !isShared(name))
    .map((name) => `wholeStores must name stores of the kinds hostPath and nfs, not "${String(name)}"`)
}

/** What was read with a namespace's secret is told to nobody but an API server that has shown who it is. */
function authenticationProblems(value: unknown): string[] {
  const isOpen = at(value, 'listen', 'clientCaFile') === undefined
  if (at(value, 'entrypoints', 'pullSecrets') !== 'use' || !isOpen) return []
  return [
    'entrypoints.pullSecrets must be "ignore" without listen.clientCaFile: whoever reaches the webhook could have it log in with the secrets of any namespace',
  ]
}

function at(value: unknown, ...path: string[]): unknown {
  return path.reduce<unknown>(
    (inner, name) =>
      typeof inner === 'object' && inner !== null && Object.hasOwn(inner, name)
        ? (inner as Record<string, unknown>)[name]
        : undefined,
    value,
  )
}

/** @param folder what relative file names are resolved against */
function configOf(file: ConfigFile, folder: string): Config {
  const {
    checkpointBudget,
    restoreBudget,
    maxFreeze,
    cloud,
    cloudEndpoint,
    meanTimeBetweenFailures,
    ...same
  } = file
  const { budget, caFile, credentialsFile, architecture, mirrors, ...looking } = file.entrypoints
  const { max, resizeSocket, nodeEviction } = file.memory
  const { drain, certFile, keyFile, clientCaFile, ...listen } = file.listen
  const endpoint = cloudEndpoint === undefined ? undefined : readEndpoint(cloudEndpoint)
  return {
    ...same,
    stores: new Map(Object.entries(file.stores)),
    retention: {
      ttlMs: durationMs(file.retention.ttl),
      ...(file.retention.namespaceBytes === undefined
        ? {}
        : { namespaceBytes: parseQuantityBytes(file.retention.namespaceBytes) ?? Number.NaN }),
    },
    runtimeClasses: new Map(Object.entries(file.runtimeClasses)),
    checkpointBudgetMs: durationMs(checkpointBudget),
    restoreBudgetMs: durationMs(restoreBudget),
    maxFreezeMs: durationMs(maxFreeze),
    cloud: { name: cloud, ...(endpoint === undefined ? {} : { endpoint }) },
    meanTimeBetweenFailuresMs: durationMs(meanTimeBetweenFailures),
    sidecar: {
      ...file.sidecar,
      withoutCapabilities: optionalCapabilities.filter((one) =>
        file.sidecar.withoutCapabilities.includes(one),
      ),
    },
    memory: {
      ...(max === undefined ? {} : { maxBytes: parseQuantityBytes(max) ?? Number.NaN }),
      ...(resizeSocket === undefined ? {} : { resizeSocket }),
      ...(readEviction(nodeEviction) ?? { nodeEvictionBytes: Number.NaN }),
    },
    entrypoints: {
      ...looking,
      budgetMs: durationMs(budget),
      architecture: architecture ?? ownArchitecture(),
      mirrors: new Map(Object.entries(mirrors)),
      ...(caFile === undefined ? {} : { caFile: resolve(folder, caFile) }),
      ...(credentialsFile === undefined ? {} : { credentialsFile: resolve(folder, credentialsFile) }),
    },
    overload: {
      requests: file.overload.requests,
      bytes: parseQuantityBytes(file.overload.bytes) ?? Number.NaN,
      delayMs: durationMs(file.overload.delay),
    },
    listen: {
      ...listen,
      certFile: resolve(folder, certFile),
      keyFile: resolve(folder, keyFile),
      ...(clientCaFile === undefined ? {} : { clientCaFile: resolve(folder, clientCaFile) }),
      drainMs: durationMs(drain),
    },
  }
}

/** Kubernetes names architectures as Go does. */
function ownArchitecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of value instanceof Map ? value.values() : Object.values(value)) deepFreeze(inner)
  }
  return value
}
