/**
 * The administrator's configuration: one YAML file, validated whole, all problems told together, then frozen.
 * Everything that a pod's owner must not choose (paths, addresses, images, capabilities) comes from here.
 */
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { parseDocument, type Document } from 'yaml'
import { readMemory, type MemoryConfig } from './config-memory.ts'
import { ConfigReader } from './config-reader.ts'
import { readEntrypoints, type EntrypointConfig } from './config-entrypoints.ts'
import { readOverload, type OverloadConfig } from './config-overload.ts'
import { readStores, type StoreVolume } from './config-stores.ts'
import { parseDurationMs } from './duration.ts'
import { describeError, ReprieveError } from './errors.ts'
import { cloudChoices, type CloudPlan } from './pod-plan.ts'
import { parseQuantityNanos } from './quantity.ts'

/** `cpu` and `memory`, as quantities. */
export type ResourceList = Readonly<Record<string, string>>

export type ContainerResources = Readonly<{
  requests: ResourceList
  limits: ResourceList
  /** Requests and limits at once, in a pod of the QoS class Guaranteed. Always has cpu and memory. */
  guaranteed: ResourceList
}>

/** Capabilities that an administrator may take from the sidecar where the nodes do not grant them, at a price. */
export const optionalCapabilities = ['SYS_RESOURCE', 'SYS_TIME', 'NET_ADMIN', 'DAC_READ_SEARCH'] as const
export type OptionalCapability = (typeof optionalCapabilities)[number]

export const statusHosts = ['127.0.0.1', '0.0.0.0', '::'] as const
export type StatusHost = (typeof statusHosts)[number]

export type Config = Readonly<{
  /** The namespace Reprieve itself runs in: its pods are never touched. */
  namespace: string
  image: string
  imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never'
  stores: ReadonlyMap<string, StoreVolume>
  /** Checkpoints retained for pods that do not say. */
  keep: number
  /** How long a checkpoint at the pod's end may take; added to the pod's grace period. */
  checkpointBudgetMs: number
  /** How long the restore init container may hold up the pod. */
  restoreBudgetMs: number
  /** The sidecar's status port in the pod; 0 for none. */
  statusPort: number
  /** Where it listens: in the pod only, or for whoever reaches the pod, who is told its metrics and no more. */
  statusHost: StatusHost
  memory: MemoryConfig
  /** Whose notices are heard, and where. */
  cloud: Readonly<CloudPlan>
  /** Of a machine, with all that takes it away; for the interval `auto`. */
  meanTimeBetweenFailuresMs: number
  sidecar: Readonly<{ withoutCapabilities: readonly OptionalCapability[]; resources: ContainerResources }>
  restore: Readonly<{ resources: ContainerResources }>
  entrypoints: EntrypointConfig
  overload: OverloadConfig
  /** Who may reach into the sidecar, and what else the guard keeps others from. */
  guard: Readonly<{ allowedGroups: readonly string[] }>
  listen: Readonly<{
    host: string
    port: number
    adminHost: string
    adminPort: number
    certFile: string
    keyFile: string
    /** The name of both webhook configurations, whose caBundle must trust what is served. */
    webhookConfiguration: string
    /** How long a shutdown waits for requests under way. */
    drainMs: number
  }>
}>

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
  const reader = new ConfigReader(plainValue(document, invalid))
  const config = readConfig(reader, dirname(file), given.image)
  if (reader.problems.length > 0) throw invalid(reader.problems)
  return deepFreeze(config)
}

function plainValue(document: Document, invalid: (problems: string[]) => ReprieveError): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 })
  } catch (error) {
    // An alias repeated in aliases grows without bound, and a configuration has no need of one.
    throw invalid([describeError(error)])
  }
}

const hour = 3_600_000
const port = { from: 0, to: 65_535 }

function readConfig(root: ConfigReader, folder: string, givenImage: string | undefined): Config {
  const memory = root.section('memory')
  const sidecar = root.section('sidecar')
  const restore = root.section('restore')
  const listen = root.section('listen')
  const guard = root.section('guard')
  const config: Config = {
    namespace: root.text('namespace', 'reprieve-system', {
      pattern: /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/,
      accepted: 'the name of a namespace',
    }),
    image: root.text('image', givenImage, { pattern: /^\S{1,1024}$/, accepted: 'an image reference' }),
    imagePullPolicy: root.oneOf('imagePullPolicy', 'IfNotPresent', ['Always', 'IfNotPresent', 'Never']),
    stores: readStores(root.section('stores')),
    keep: root.whole('keep', 3, { from: 1, to: 100 }),
    checkpointBudgetMs: readSpan(root, 'checkpointBudget', 120_000),
    restoreBudgetMs: readSpan(root, 'restoreBudget', 300_000),
    statusPort: root.whole('statusPort', 9464, port),
    statusHost: root.oneOf('statusHost', '127.0.0.1', statusHosts),
    cloud: {
      name: root.oneOf('cloud', 'auto', cloudChoices),
      ...(root.has('cloudEndpoint') ? { endpoint: readEndpoint(root, 'cloudEndpoint') } : {}),
    },
    meanTimeBetweenFailuresMs: readMeanTime(root, 'meanTimeBetweenFailures', 24 * hour),
    sidecar: {
      withoutCapabilities: sidecar.listOf('withoutCapabilities', [], optionalCapabilities),
      resources: readResources(sidecar.section('resources'), {
        requests: { cpu: '20m', memory: '64Mi' },
        // None: the page cache of a dump counts towards it, and a dump that must wait for the disk holds the application still.
        limits: {},
        guaranteed: { cpu: '500m', memory: '256Mi' },
      }),
    },
    restore: {
      resources: readResources(restore.section('resources'), {
        requests: { cpu: '20m', memory: '64Mi' },
        // None, for the same reason: it writes a whole checkpoint.
        limits: {},
        guaranteed: { cpu: '500m', memory: '256Mi' },
      }),
    },
    memory: readMemory(memory),
    guard: {
      allowedGroups: guard.has('allowedGroups')
        ? guard.texts('allowedGroups', { pattern: /^.{1,256}$/, accepted: 'names of groups' })
        : ['system:masters'],
    },
    entrypoints: readEntrypoints(root.section('entrypoints'), folder),
    overload: readOverload(root.section('overload')),
    listen: {
      host: listen.text('host', '0.0.0.0'),
      port: listen.whole('port', 8443, port),
      adminHost: listen.text('adminHost', '0.0.0.0'),
      adminPort: listen.whole('adminPort', 8080, port),
      certFile: resolve(folder, listen.text('certFile', '/run/reprieve/certs/tls.crt')),
      keyFile: resolve(folder, listen.text('keyFile', '/run/reprieve/certs/tls.key')),
      webhookConfiguration: listen.text('webhookConfiguration', 'reprieve', {
        pattern: /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/,
        accepted: 'the name of an object',
      }),
      drainMs: readSpan(listen, 'drain', 10_000),
    },
  }
  for (const section of [memory, sidecar, restore, listen, guard, root]) section.refuseOthers()
  return config
}

function readSpan(section: ConfigReader, name: string, fallbackMs: number): number {
  return section.parsed(name, fallbackMs, 'a duration from 1s to 1h, for example 90s', (text) => {
    const ms = parseDurationMs(text)
    return ms !== undefined && ms >= 1000 && ms <= hour ? ms : undefined
  })
}

function readMeanTime(section: ConfigReader, name: string, fallbackMs: number): number {
  return section.parsed(name, fallbackMs, 'a duration from 1m to 87600h, for example 24h', (text) => {
    const ms = parseDurationMs(text)
    return ms !== undefined && ms >= 60_000 && ms <= 87_600 * hour ? ms : undefined
  })
}

/** Metadata services speak plain HTTP. */
function readEndpoint(section: ConfigReader, name: string): { host: string; port: number } {
  const nowhere = { host: '', port: 0 }
  return section.parsed(
    name,
    nowhere,
    'an address such as http://169.254.169.254 or http://[fd00:ec2::254]:80',
    (text) => {
      const form =
        /^http:\/\/(?:\[([0-9a-fA-F:]{2,39})\]|([A-Za-z0-9][A-Za-z0-9.-]{0,251}))(?::(\d{1,5}))?\/?$/
      const [, bracketed, plain, port = '80'] = form.exec(text) ?? []
      const host = bracketed ?? plain
      return host === undefined || Number(port) < 1 || Number(port) > 65_535
        ? undefined
        : { host, port: Number(port) }
    },
  )
}

function readResources(section: ConfigReader, defaults: ContainerResources): ContainerResources {
  const resources = {
    requests: section.has('requests') ? readResourceList(section.section('requests'), {}) : defaults.requests,
    limits: section.has('limits') ? readResourceList(section.section('limits'), {}) : defaults.limits,
    guaranteed: readResourceList(section.section('guaranteed'), defaults.guaranteed),
  }
  section.refuseOthers()
  for (const name of Object.keys(resources.requests)) {
    const request = parseQuantityNanos(resources.requests[name] ?? '')
    const limit = parseQuantityNanos(resources.limits[name] ?? '')
    if (request !== undefined && limit !== undefined && request > limit)
      section.problem('requests', `of ${name} must not be above its limit`)
  }
  return resources
}

function readResourceList(list: ConfigReader, defaults: ResourceList): ResourceList {
  const read: Record<string, string> = {}
  for (const name of ['cpu', 'memory']) {
    const form = 'a quantity above 0, as a text'
    const fallback = defaults[name] ?? ''
    const quantity = list.parsed(name, fallback, form, (text) =>
      (parseQuantityNanos(text) ?? 0n) > 0n ? text : undefined,
    )
    if (quantity !== '') read[name] = quantity
  }
  list.refuseOthers()
  return read
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of value instanceof Map ? value.values() : Object.values(value)) deepFreeze(inner)
  }
  return value
}
