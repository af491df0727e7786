import { ReprieveError } from '../src/errors.ts'
import type { KubeAnswer } from '../src/kube-api.ts'

/** The error for an unexpected answer, with the message of the API server (a `Status` object). */
export function refused(what: string, name: string, { status, body }: KubeAnswer): ReprieveError {
  const message = (body as { message?: unknown } | undefined)?.message
  const words = typeof message === 'string' && message !== '' ? ` (${message.slice(0, 300)})` : ''
  return new ReprieveError(
    'command-failed',
    `could not ${what} ${name}: the API server answered ${status}${words}`,
    { status },
  )
}
