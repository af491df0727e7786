/** What a training program's log says, and how the log of two halves compares to that of one whole. Pure. */
export type Step = { step: number; line: string; timeMs: number }
export type Logged = { text: string; timeMs: number }

export function stepsOf(lines: readonly Logged[]): Step[] {
  return lines.flatMap(({ text, timeMs }) => {
    const match = /^step (\d+) /.exec(text)
    return match === null ? [] : [{ step: Number(match[1]), line: text, timeMs }]
  })
}

/** The weights' SHA-256 that the program prints as its last word. */
export const finalDigest = /^final digest ([0-9a-f]{64})$/

export type Comparison = {
  lastStepBefore: number
  firstStepAfter: number
  /** Steps that neither half printed. */
  lostSteps: number
  /** Steps that were printed more than once. */
  repeatedSteps: number
  /** Every line, in order, final digest included, is that of the undisturbed run. */
  identicalResult: boolean
}

/** @param before the log of the pod that died @param after that of its replacement @param whole the undisturbed one */
export function compareRuns(
  before: readonly Logged[],
  after: readonly Logged[],
  whole: readonly Logged[],
): Comparison {
  const both = [...before, ...after]
  const steps = stepsOf(both).map(({ step }) => step)
  const distinct = new Set(steps)
  const expected = stepsOf(whole)
  return {
    lastStepBefore: stepsOf(before).at(-1)?.step ?? 0,
    firstStepAfter: stepsOf(after)[0]?.step ?? 0,
    lostSteps: expected.filter(({ step }) => !distinct.has(step)).length,
    repeatedSteps: steps.length - distinct.size,
    identicalResult:
      whole.some(({ text }) => finalDigest.test(text)) &&
      both.map(({ text }) => text).join('\n') === whole.map(({ text }) => text).join('\n'),
  }
}
