/** The few requests of the agent to the API server, by @kubernetes/client-node. Each has a deadline; objects come as plain JSON or models. */
import {
  ApiException,
  CoreV1Api,
  createConfiguration,
  EventsV1Api,
  PatchStrategy,
  ServerConfiguration,
  V1MicroTime,
  Watch,
  type KubeConfig,
  type Middleware,
} from '@kubernetes/client-node'
import { isRecord } from '../src/shape.ts'

/** One list of the API, of which the agent sees a part only. */
export type Watched = { kind: 'pods' | 'nodes'; fieldSelector: string }
export type Listed = { items: unknown[]; resourceVersion: string }
export type WatchEvent = { type: string; object: unknown }
export type PodName = { namespace: string; name: string }

/** `regarding`: the object that an Event is of. */
export type Regarding = { apiVersion: string; kind: string; namespace: string; name: string; uid: string }
export type NewEvent = {
  name: string
  atMs: number
  reason: string
  type: string
  action: string
  note: string
  /** Of the agent that writes it. */
  node: string
  regarding: Regarding
  related: Regarding | undefined
}

export type Kube = {
  /** @param resourceVersion `0` for whatever the API server has in memory, empty for the newest */
  list: (watched: Watched, resourceVersion: string) => Promise<Listed>
  /** Resolves when the API server has ended the watch in its usual way. */
  watch: (watched: Watched, from: string, heard: (event: WatchEvent) => void, signal: AbortSignal) => Promise<void> // prettier-ignore
  /** A strategic merge patch of the subresource `resize`. @returns the pod as it is then */
  resizePod: (pod: PodName, body: object) => Promise<unknown>
  /** A strategic merge patch of the subresource `status`. */
  patchPodStatus: (pod: PodName, body: object) => Promise<unknown>
  createEvent: (event: NewEvent) => Promise<unknown>
  patchEvent: (event: PodName, body: object) => Promise<unknown>
}

/** The controller that an Event names as its writer. */
export const reportingController = 'reprieve.dev/agent'

// @deadline The API server does not answer the node agent | It asks again, after a pause
const requestTimeoutMs = 10_000
/** Bookmarks come about once a minute: a watch that is silent for longer has lost its connection. */
// @deadline A watch of the node agent hears nothing | It watches anew
const silenceMs = 90_000
/** How long the API server keeps a watch; spread, so that a thousand agents do not come back together. */
const [leastWatchSeconds, mostWatchSeconds] = [300, 600]

export function connectKube(config: KubeConfig): Kube {
  const cluster = config.getCurrentCluster()
  if (cluster === null) throw new Error('the configuration names no API server')
  const middleware: Middleware = {
    pre: async (context) => {
      context.setSignal(AbortSignal.timeout(requestTimeoutMs))
      if (context.getHttpMethod() === 'PATCH') context.setHeaderParam('Content-Type', PatchStrategy.StrategicMergePatch) // prettier-ignore
      return context
    },
    post: async (context) => context,
  }
  const configuration = createConfiguration({
    baseServer: new ServerConfiguration(cluster.server, {}),
    authMethods: { default: config },
    promiseMiddleware: [middleware],
  })
  const core = new CoreV1Api(configuration)
  const events = new EventsV1Api(configuration)
  return {
    list: async ({ kind, fieldSelector }, resourceVersion) => {
      const wish = { fieldSelector, ...(resourceVersion === '' ? {} : { resourceVersion }) }
      const list = await (kind === 'pods' ? core.listPodForAllNamespaces(wish) : core.listNode(wish))
      return { items: list.items, resourceVersion: list.metadata?.resourceVersion ?? '' }
    },
    watch: (watched, from, heard, signal) => watch(config, watched, from, { heard, signal }),
    resizePod: (pod, body) => core.patchNamespacedPodResize({ ...pod, body }),
    patchPodStatus: (pod, body) => core.patchNamespacedPodStatus({ ...pod, body }),
    createEvent: ({ name, atMs, node, ...event }) => {
      const metadata = { name, namespace: event.regarding.namespace }
      const by = { reportingController, reportingInstance: node, eventTime: new V1MicroTime(atMs) }
      return events.createNamespacedEvent({ namespace: metadata.namespace, body: { metadata, ...by, ...event } }) // prettier-ignore
    },
    patchEvent: (event, body) => events.patchNamespacedEvent({ ...event, body }),
  }
}

type Listener = { heard: (event: WatchEvent) => void; signal: AbortSignal }

async function watch(config: KubeConfig, watched: Watched, from: string, listener: Listener): Promise<void> {
  const { kind, fieldSelector } = watched
  const { heard, signal } = listener
  const seconds = leastWatchSeconds + Math.random() * (mostWatchSeconds - leastWatchSeconds)
  const wish = {
    fieldSelector,
    resourceVersion: from,
    allowWatchBookmarks: true,
    timeoutSeconds: Math.round(seconds),
  }
  const watcher = new Watch(config)
  // Its own 30 s are less than the pause between two bookmarks.
  Reflect.set(watcher, 'requestTimeoutMs', silenceMs)
  const ended = Promise.withResolvers<void>()
  const done = (error: unknown) => (error ? ended.reject(error) : ended.resolve())
  const hear = (type: string, object: unknown) => heard({ type, object })
  const begun = await watcher.watch(`/api/v1/${kind}`, wish, hear, done)
  const stop = () => begun.abort()
  signal.addEventListener('abort', stop)
  if (signal.aborted) stop()
  return ended.promise.finally(() => signal.removeEventListener('abort', stop))
}

/** As metav1.MicroTime is written in a patch. */
export function instantOf(ms: number): string {
  return new V1MicroTime(ms).toISOString()
}

/** The HTTP status of a failed request, or of an event `ERROR` of a watch. */
export function statusCodeOf(error: unknown): number | undefined {
  if (!isRecord(error)) return undefined
  const { code, statusCode } = error
  return [code, statusCode].find((one) => typeof one === 'number')
}

/** Whether the same request may succeed later: a conflict, an API server that has too much to do, restarts, or does not answer. */
export function mayPass(error: unknown): boolean {
  return !(error instanceof ApiException) || [409, 429].includes(error.code) || error.code >= 500
}

/** What the API server says about a request that it refuses, in its own words. */
export function refusalOf(error: unknown): string | undefined {
  if (!(error instanceof ApiException)) return undefined
  const body: unknown = typeof error.body === 'string' ? parsed(error.body) : error.body
  return isRecord(body) && typeof body.message === 'string' ? body.message : `HTTP ${error.code}`
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
