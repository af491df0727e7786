/** Asks the API server again where a failure may pass. */
import { setTimeout as delay } from 'node:timers/promises'
import { mayPass } from './kube.ts'

type Options = {
  /** Before each further try. */
  pausesMs: readonly number[]
  /** No try begins later, by `performance.now()`. */
  until?: number
  /** Whether the failure may pass. */
  passes?: (error: unknown) => boolean
  /** Whether the process stays for the next try. */
  ref?: boolean
}

/** @throws what the last try has thrown */
export async function retried<T>(
  ask: () => Promise<T>,
  { pausesMs, until = Number.POSITIVE_INFINITY, passes = mayPass, ref = true }: Options,
): Promise<T> {
  for (const pauseMs of pausesMs)
    try {
      return await ask()
    } catch (error) {
      if (!passes(error) || performance.now() + pauseMs > until) throw error
      await delay(pauseMs, undefined, { ref })
    }
  return ask()
}
