/**
 * The container's preStop: the launcher, with the user's own hook as its arguments (launcher/PROTOCOL.md),
 * which it runs as the kubelet would if no checkpoint was taken.
 */
import { volumePaths } from '../src/volume.ts'
import type { Container, LifecycleHandler } from './pod.ts'

export type PrestopCommand = { command: string[]; warnings: string[] }

export function prestopCommand(container: Container, budgetMs: number): PrestopCommand {
  const hook = userHook(container)
  return {
    command: [
      volumePaths.launcher,
      'prestop',
      `--container=${container.name}`,
      `--budget-ms=${budgetMs}`,
      ...('words' in hook ? hook.words : []),
    ],
    warnings: 'warning' in hook ? [hook.warning] : [],
  }
}

type Hook = { words: string[] } | { warning: string }

function userHook(container: Container): Hook {
  const preStop = container.lifecycle?.preStop
  if (preStop === undefined || preStop === null) return { words: [] }
  const { exec, httpGet, sleep } = preStop
  // An empty command would make the launcher refuse its arguments, and the checkpoint with them.
  if (exec?.command?.length) return { words: ['--exec', '--', ...exec.command] }
  if (httpGet !== undefined && httpGet !== null) return httpHook(container, httpGet)
  if (sleep !== undefined && sleep !== null && (sleep.seconds ?? 0) >= 0)
    return { words: [`--sleep=${sleep.seconds ?? 0}`] }
  // tcpSocket: "lifecycle hooks will fail at runtime when it is specified" (core/v1, LifecycleHandler). Neither it
  // nor a hook that the API server refuses leaves anything to keep.
  return { warning: `container ${container.name}: its preStop does nothing in Kubernetes and was left out` }
}

function httpHook(container: Container, action: NonNullable<LifecycleHandler['httpGet']>): Hook {
  const port = portNumber(container, action.port)
  if (port === undefined)
    return {
      warning: `container ${container.name}: the port ${JSON.stringify(action.port)} of its preStop is not one of the container's, so the hook was left out`,
    }
  const scheme = (action.scheme ?? 'HTTP').toLowerCase() === 'https' ? 'https' : 'http'
  const headers = (action.httpHeaders ?? []).map(({ name, value }) => `--header=${name}:${value ?? ''}`)
  return {
    words: [
      `--http-get=${scheme}://${bracketed(action.host ?? '')}:${port}${urlPath(action.path ?? '/')}`,
      ...headers,
    ],
  }
}

/** As the kubelet resolves it: a number, the container's port of that name, or a number written as a text. */
function portNumber(container: Container, port: string | number): number | undefined {
  const named = (container.ports ?? []).find(({ name }) => name === port)?.containerPort
  const number = named ?? (typeof port === 'number' || /^\d{1,5}$/.test(port) ? Number(port) : undefined)
  return number !== undefined && number > 0 && number < 65_536 ? number : undefined
}

/** An address of IPv6 has colons of its own. */
function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
}

/** Path and query as they are written, but nothing that could end the request's line. */
function urlPath(path: string): string {
  const escaped = path
    .toWellFormed()
    .replaceAll(/[^\x21-\x7e]|["<>\\^`{|}]/gu, (character) => encodeURIComponent(character))
  return escaped.startsWith('/') ? escaped : `/${escaped}`
}
