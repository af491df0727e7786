/** Fetches an HTTPS preStop hook for the launcher, which has no TLS. As with the kubelet, no certificate is verified and 200–399 is success. */
import type { FromLauncher, ToLauncher } from './launcher-messages.ts'

const deadlineMs = 30_000

export async function fetchHook(message: FromLauncher & { verb: 'fetch' }): Promise<ToLauncher> {
  // Loaded only when needed: else it costs memory in every pod.
  const { request } = await import('node:https')
  return new Promise((resolve) => {
    const failed = () => resolve({ verb: 'failed', reason: 'hook-unreachable' })
    try {
      const headers = message.headers.map(
        (header) => decodeURIComponent(header).split(/:(.*)/s, 2) as [string, string],
      )
      const call = request(decodeURIComponent(message.url), {
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
