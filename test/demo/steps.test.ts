import t from 'tap'
import { compareRuns, stepsOf } from '../../demo/steps.ts'

const digest = `final digest ${'ab'.repeat(32)}`
const line = (text: string) => ({ text, timeMs: 0 })
const steps = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) =>
    line(`step ${from + index} loss 1 digest d${from + index}`),
  )
const whole = [...steps(1, 10), line(digest)]

t.test('only the lines of steps are steps', async (t) => {
  t.same(
    stepsOf([line('step 3 loss 1'), line('best loss at step 3'), line('steps 4 ')]).map(({ step }) => step),
    [3],
  )
})

t.test('a run that went on at the very next step is the same as an undisturbed one', async (t) => {
  t.same(compareRuns(steps(1, 4), [...steps(5, 10), line(digest)], whole), {
    lastStepBefore: 4,
    firstStepAfter: 5,
    lostSteps: 0,
    repeatedSteps: 0,
    identicalResult: true,
  })
})

t.test('steps that neither pod printed are lost', async (t) => {
  const { lostSteps, repeatedSteps, identicalResult } = compareRuns(
    steps(1, 4),
    [...steps(7, 10), line(digest)],
    whole,
  )
  t.same(
    { lostSteps, repeatedSteps, identicalResult },
    { lostSteps: 2, repeatedSteps: 0, identicalResult: false },
  )
})

t.test(
  'steps that were printed twice are repeated, as all are of a replacement that began anew',
  async (t) => {
    const anew = compareRuns(steps(1, 4), whole, whole)
    t.match(anew, { firstStepAfter: 1, lostSteps: 0, repeatedSteps: 4, identicalResult: false })
  },
)

t.test(
  'a single line that differs is not the same result, and neither is a run without an end',
  async (t) => {
    const wrong = [...steps(5, 9), line('step 10 loss 1 digest other'), line(digest)]
    t.match(compareRuns(steps(1, 4), wrong, whole), {
      lostSteps: 0,
      repeatedSteps: 0,
      identicalResult: false,
    })
    t.equal(compareRuns(steps(1, 4), steps(5, 10), steps(1, 10)).identicalResult, false)
  },
)
