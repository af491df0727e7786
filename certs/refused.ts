import { ReprieveError } from '../src/errors.ts'
import type { KubeAnswer } from '../src/kube-api.ts'

/** An answer that nobody wanted, with the API server's own words (a `Status` object). */
export function refused(what: string, name: string, { status, body }: KubeAnswer): ReprieveError {
  const message = (body as { message?: unknown } | undefined)?.message
  const words = typeof message === 'string' && message !== '' ? ` (${message.slice(0, 300)})` : ''
  return new ReprieveError(
    'command-failed',
    `could not ${what} ${name}: the API server answered ${status}${words}`,
    { status },
  )
}
