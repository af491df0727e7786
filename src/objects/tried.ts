/** Makes a request of a store again while that may help: a bounded number of times, with pauses; and once with a new URL. */
import { setTimeout as delay } from 'node:timers/promises'
import { ReprieveError, describeError } from '../errors.ts'
import type { Verdict } from './answers.ts'
import { pauseMs, type BackOff } from './back-off.ts'
import { ExchangeFailure } from './http-exchange.ts'

type Again = Extract<Verdict, { kind: 'again' }> & {
  /** The error if this was the last try, in the place of `store-unavailable`. */
  atLast?: ReprieveError
}

/** One try: its result, or why there is none. */
export type Try<T> =
  { kind: 'done'; value: T } | Again | Extract<Verdict, { kind: 'denied' | 'full' | 'failed' }>

export type Call = {
  store: string
  /** `put the object a/b` */
  action: string
  signal: AbortSignal
  backOff: BackOff
}

/**
 * @param work gets whether its URL must be a new one
 * @throws ReprieveError by the kind of the failure; `deadline-passed` where the signal has aborted
 */
export async function tried<T>(call: Call, work: (anew: boolean) => Promise<Try<T>>): Promise<T> {
  const begunMs = performance.now()
  let failures = 0
  let last: string | undefined
  let wasDenied = false
  for (let anew = false; ;) {
    if (call.signal.aborted) throw givenUp(call, last)
    const outcome = await outcomeOf(call, last, () => work(anew))
    anew = false
    if (outcome.kind === 'done') return outcome.value
    last = outcome.said
    if (outcome.kind === 'full') throw failed(call, 'store-full', last)
    if (outcome.kind === 'failed') throw failed(call, 'store-failed', last)
    if (outcome.kind === 'denied') {
      if (wasDenied) throw failed(call, 'store-denied', `with a new URL, too: ${last}`)
      anew = wasDenied = true
      continue
    }
    failures++
    if (failures >= call.backOff.tries) {
      if (outcome.atLast !== undefined) throw outcome.atLast
      const seconds = ((performance.now() - begunMs) / 1_000).toFixed(1)
      throw failed(call, 'store-unavailable', `${failures} tries in ${seconds} s, the last: ${last}`)
    }
    const ms = pauseMs(call.backOff, failures, outcome.retryAfterMs, Math.random())
    await delay(ms, undefined, { signal: call.signal }).catch(() => undefined)
  }
}

async function outcomeOf<T>(
  call: Call,
  last: string | undefined,
  work: () => Promise<Try<T>>,
): Promise<Try<T>> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof ReprieveError) throw error
    if (call.signal.aborted) throw givenUp(call, last)
    if (error instanceof ExchangeFailure)
      return { kind: error.passes ? 'again' : 'failed', said: describeError(error) }
    throw error
  }
}

function failed(
  { store, action }: Call,
  code: 'store-full' | 'store-failed' | 'store-denied' | 'store-unavailable',
  said: string,
): ReprieveError {
  return new ReprieveError(code, `store "${store}" failed to ${action}: ${said}`, { store })
}

export function givenUp({ store, action, signal }: Call, last = 'no try was made'): ReprieveError {
  const message = `store "${store}" was given up before it could ${action}; the last failure: ${last}`
  return new ReprieveError('deadline-passed', message, { store }, signal.reason)
}
