/**
 * A clock that the test moves: `setTimeout`, `setInterval`, `Date` and `performance.now()` stand still until `pass` is called, so what takes hours is
 * over in an instant, and a busy machine changes nothing. What waits for the kernel or for another process goes on by the real clock: not for that.
 */
import { mock } from 'node:test'

const realImmediate = setImmediate
/** Promises that wait for each other settle in as many turns of the event loop. */
const turnsAStep = 6

export type FakeClock = {
  /** Since the clock was begun. */
  ms(): number
  /** Lets time pass, step by step, and all that becomes due in it happen. */
  pass(ms: number): Promise<void>
  /** Lets time pass until it holds. @throws Error when it does not within `deadlineMs` of the clock */
  until(what: string, holds: () => unknown, deadlineMs?: number): Promise<void>
}

type Test = { teardown: (work: () => unknown) => unknown }

/** @param options.stepMs what happens within one step happens at its end */
export function fakeClock(t: Test, options: { startMs?: number; stepMs?: number } = {}): FakeClock {
  const { startMs = Date.parse('2026-03-04T05:06:07Z'), stepMs = 10 } = options
  const timers = mock.timers
  timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: startMs })
  // Beside `Date`, which a test may set: this one only ever goes on.
  let passedMs = 0
  const monotonic = mock.method(performance, 'now', () => passedMs)
  t.teardown(() => {
    monotonic.mock.restore()
    timers.reset()
  })
  const step = async () => {
    passedMs += stepMs
    timers.tick(stepMs)
    await turns()
  }
  return {
    ms: () => passedMs,
    pass: async (ms) => {
      await turns()
      for (let leftMs = ms; leftMs > 0; leftMs -= stepMs) await step()
    },
    until: async (what, holds, deadlineMs = 3_600_000) => {
      await turns()
      for (const end = passedMs + deadlineMs; !(await holds()); await step())
        if (passedMs > end) throw new Error(`waited ${deadlineMs} ms of the test’s clock in vain for ${what}`)
    },
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < turnsAStep; turn++) await new Promise((resolve) => realImmediate(resolve))
}
