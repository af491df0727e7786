/**
 * Fetches an HTTPS preStop hook for the launcher, which has no TLS. As with the kubelet, no certificate is verified and 200–399 is success.
 * Only the pod itself is asked: the sidecar is nobody's way to another host.
 */
import { networkInterfaces } from 'node:os'
import type { FromLauncher, ToLauncher } from './launcher-messages.ts'

const deadlineMs = 30_000

export async function fetchHook(message: FromLauncher & { verb: 'fetch' }): Promise<ToLauncher> {
  // Loaded only when needed: else it costs memory in every pod.
  const { request } = await import('node:https')
  return new Promise((resolve) => {
    const failed = () => resolve({ verb: 'failed', reason: 'hook-unreachable' })
    try {
      const url = urlInPod(decodeURIComponent(message.url), addressesOfPod())
      if (url === undefined) return resolve({ verb: 'failed', reason: 'hook-elsewhere' })
      const headers = message.headers.map(
        (header) => decodeURIComponent(header).split(/:(.*)/s, 2) as [string, string],
      )
      const call = request(url, {
        headers: Object.fromEntries(headers),
        rejectUnauthorized: false,
        signal: AbortSignal.timeout(deadlineMs),
      })
      call.on('error', failed)
      call.on('response', (response) => {
        response.resume()
        resolve({ verb: 'fetched', status: response.statusCode ?? 0 })
      })
      call.end()
    } catch {
      failed()
    }
  })
}

/** `global`: the pod's address, the first one first, as the kubelet asks it where a hook names no host. */
export type PodAddresses = { all: ReadonlySet<string>; global: readonly string[] }

/**
 * The URL to ask, with an address for its host: a name could lead anywhere by the time that it is resolved.
 * @returns undefined for another host than the pod
 * @throws Error for a text that is no URL
 */
export function urlInPod(text: string, { all, global }: PodAddresses): URL | undefined {
  const [first] = global
  const withoutHost = /^https:\/\/(?=[:/]|$)/i
  if (withoutHost.test(text) && first === undefined) return undefined
  const url = new URL(text.replace(withoutHost, `https://${bracketed(first ?? '')}`))
  if (url.protocol !== 'https:') return undefined
  // URL writes an address in one way: `127.1`, `0x7f000001` and `[::ffff:127.0.0.1]` cannot pass for another.
  const host = url.hostname.replaceAll(/^\[|\]$/g, '')
  if (host === 'localhost') url.hostname = '127.0.0.1'
  else if (!all.has(host) && !/^127\.\d+\.\d+\.\d+$/.test(host)) return undefined
  return url
}

function addressesOfPod(): PodAddresses {
  const every = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  const global = every.filter(
    ({ internal, address }) => !internal && !/^(169\.254\.|fe[89ab])/i.test(address),
  )
  return {
    all: new Set(every.map(({ address }) => address)),
    global: global.map(({ address }) => address),
  }
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}
