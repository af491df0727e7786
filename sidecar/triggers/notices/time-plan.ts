/**
 * What can still be done before a death, from what it takes and what is left. Pure. One container after another: side by side they
 * would share the disk, and at the deadline each might have half a checkpoint.
 */
import { estimate, type Took } from '../../container/rates.ts'

export type Need = {
  container: string
  took: Took
  /** What it holds now. */
  memoryBytes: number
  /** Since its newest complete checkpoint (or its beginning): what is lost without a new one. */
  unsavedMs: number
  /** Whether there is one to fall back to. */
  hasCheckpoint: boolean
}

/**
 * `full`: to the store, in time. `cut-short`: a local dump whose storing is cut short at the deadline if it is not done by then,
 * without harm to the checkpoint before; the application goes on meanwhile. `keep-last`: nothing is begun; what is under way may end.
 */
export type Plan = 'full' | 'cut-short' | 'keep-last'

export type Step = {
  container: string
  plan: Plan
  needMs: number
  startMs: number
  dumpMs: number
  storeMs: number
  leftMs: number
}

/** Rates vary, and a checkpoint that is a second late is worth nothing. */
export const safetyFactor = 1.25

/** In the order in which they are to be done. @param leftMs until the last of them must be complete */
export function planTimeLeft(needs: readonly Need[], leftMs: number): Step[] {
  const costed = needs.map((need) => Object.assign(timesFor(need), { need }))
  // Most work saved for each second spent: a small one that has much to lose first.
  const worth = ({ need, needMs }: (typeof costed)[number]) => need.unsavedMs / needMs
  costed.sort((a, b) => worth(b) - worth(a))
  const steps: Step[] = []
  const rest: typeof costed = []
  let left = leftMs
  for (const each of costed)
    if (each.needMs <= left) {
      steps.push(stepOf(each, 'full', left))
      left -= each.needMs
    } else rest.push(each)
  // What was never measured is tried in any case: it may be faster than assumed. Not before those that are known to fit.
  const [known, unknown] = [
    rest.filter(({ need }) => need.took.measured),
    rest.filter(({ need }) => !need.took.measured),
  ]
  for (const each of [...unknown, ...known]) {
    const isTried = !each.need.took.measured && left > 0
    const isCut = left > 0 && (each.standsMs <= left || !each.need.hasCheckpoint)
    steps.push(stepOf(each, isTried ? 'full' : isCut ? 'cut-short' : 'keep-last', left))
    // It has all that is left.
    if (isTried || isCut) left = 0
  }
  return steps
}

/** By when a step is cut short, so that those after it that fit keep the time that they need, however slow this one turns out. */
export function deadlineOf(steps: readonly Step[], step: Step, until: number): number {
  const later = steps
    .slice(steps.indexOf(step) + 1)
    .filter(({ plan, needMs, leftMs }) => plan === 'full' && needMs <= leftMs)
  return until - later.reduce((sum, { needMs }) => sum + needMs, 0)
}

function timesFor({ took, memoryBytes }: Need) {
  const { startMs, dumpMs, storeMs } = estimate(took, memoryBytes)
  const needMs = Math.max(1, safetyFactor * (startMs + dumpMs + storeMs))
  return { standsMs: safetyFactor * (startMs + dumpMs), startMs, dumpMs, storeMs, needMs }
}

function stepOf(
  { need, needMs, startMs, dumpMs, storeMs }: ReturnType<typeof timesFor> & { need: Need },
  plan: Plan,
  left: number,
): Step {
  // prettier-ignore
  const whole = { needMs, startMs, dumpMs, storeMs, leftMs: left }
  const rounded = Object.fromEntries(Object.entries(whole).map(([name, ms]) => [name, Math.round(ms)]))
  return { container: need.container, plan, ...(rounded as typeof whole) }
}

/** The decision with its arithmetic, in one line. */
export function explainPlan(steps: readonly Step[]): string {
  return steps
    .map(({ container, plan, needMs, startMs, dumpMs, storeMs, leftMs }) => {
      const parts = `start ${startMs}, dump ${dumpMs}, store ${storeMs}, a quarter for safety`
      const sum = `${needMs} ms needed (${parts}), ${leftMs} ms left`
      return `${container}: ${plan}, ${sum}`
    })
    .join('; ')
}
