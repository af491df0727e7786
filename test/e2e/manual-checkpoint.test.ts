/** A checkpoint by hand, through the control socket, of an application that goes on; and what comes upon it meanwhile. */
import t from 'tap'
import { readStatNow } from '../../src/process-stat.ts'
import { sleep } from '../harness/deadline.ts'
import type { Pod } from '../harness/pod.ts'
import { application, askControl, deadlineMs, exitCodeOf, numbersIn, openStage, podOf, replaced, sidecar, sidecarEntries, statusOf, type ControlAnswer } from './support.ts' // prettier-ignore

const steps = { command: ['/app/steps', '100000', '20'] }
const step = /^step (\d+) /

t.test('an application that is checkpointed by hand goes on without a gap', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const pod = await stage.run(podOf(steps))
  await pod.waitForLog(application, step, { nth: 10, deadlineMs })
  for (const reason of ['before the holidays', 'once more']) {
    const answer = await askControl(pod, { reason, afterwards: 'resume' })
    t.match(answer, { app: { outcome: 'taken', cpuMs: Number, memoryBytes: Number } })
    const [newest] = await stage.manifests()
    t.match(newest, { id: answer.app?.id, trigger: 'manual', reason })
    t.match((await statusOf(pod)).containers, [
      { state: { at: 'running' }, lastCheckpoint: { id: newest?.id } },
    ])
    const seen = numbersIn(pod, step).length
    await pod.waitForLog(application, step, { nth: seen + 10, deadlineMs })
  }
  const numbers = numbersIn(pod, step)
  t.same(numbers, numbers.map((_, index) => index + 1), 'every step once and in order') // prettier-ignore
  t.same(numbersIn(pod, /^note (\d+)$/).slice(0, 40), numbers.slice(0, 40))
})

t.test(
  'a pod whose every process is killed goes on from the checkpoint that was taken by hand',
  async (t) => {
    const stage = await openStage(t, { programs: ['steps.c'] })
    const whole = await stage.runPlain(podOf({ command: ['/app/steps', '150', '20'] }))
    const options = { command: ['/app/steps', '150', '20'] }
    const before = await stage.run(podOf(options))
    await before.waitForLog(application, step, { nth: 10, deadlineMs })
    const answer = await askControl(before, { afterwards: 'resume' })
    t.match(answer, { app: { outcome: 'taken' } })
    const checkpointed = numbersIn(before, step).length
    await before.waitForLog(application, step, { nth: checkpointed + 20, deadlineMs })
    await before.crash()
    const dead = numbersIn(before, step)

    const after = await stage.run(podOf(options))
    await after.waitUntilEnded(2 * deadlineMs)
    t.equal(exitCodeOf(after), 0)
    await whole.waitUntilEnded(deadlineMs)
    const first = numbersIn(after, step)[0] ?? 0
    t.ok(first > 10, `it began anew at step ${first}, not at the first`)
    t.ok(first <= checkpointed + 1, `the checkpoint was at step ${checkpointed} or before`)
    t.ok(first <= (dead.at(-1) ?? 0), 'what came after the checkpoint is done again, and nothing is left out')
    const output = (pod: typeof after) => pod.logLines(application).flatMap(({ stream, text }) => (stream === 'stdout' ? [text] : [])) // prettier-ignore
    t.same([...output(before).slice(0, first - 1), ...output(after)], output(whole))
  },
)

t.test('a checkpoint by hand of a restored application serves as well', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const { after } = await replaced(stage, steps, step)
  const answer = await askControl(after, { container: application, afterwards: 'resume' })
  t.match(answer, { app: { outcome: 'taken' } })
  const seen = numbersIn(after, step)
  await after.waitForLog(application, step, { nth: seen.length + 10, deadlineMs })
  await after.crash()
  const third = await stage.run(podOf(steps))
  const line = await third.waitForLog(application, step, { deadlineMs })
  await third.waitForLog(sidecar, /went on from its checkpoint/, { deadlineMs })
  t.match(
    sidecarEntries(third).find(({ msg }) => /went on from/.test(msg)),
    { checkpoint: answer.app?.id },
  )
  const first = Number(step.exec(line.text)?.[1])
  t.ok(
    first > (seen[0] ?? 0) && first <= (seen.at(-1) ?? 0) + 1,
    `step ${first}, after ${seen[0]} to ${seen.at(-1)}`,
  )
})

t.test('a pod evicted during a checkpoint by hand takes its last one, and loses nothing', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const delaysMs = [0, 20, 50, 100, 200]
  let [held, overlapped, last] = [0, 0, 0]
  for (const delayMs of delaysMs) {
    const pod = await stage.run(podOf(steps))
    await pod.waitForLog(application, step, { nth: 5, deadlineMs })
    const { byHand } = await caughtStanding(pod)
    await sleep(delayMs)
    const evictedMs = Date.now()
    await pod.evict()
    const answer = await byHand
    const taken = sidecarEntries(pod).filter(({ msg }) => msg === 'a checkpoint was taken')
    const byHandMs = Date.parse(String(taken.find(({ trigger }) => trigger === 'manual')?.time))
    // The end breaks off one that is only being stored: it is then not taken at all.
    const brokenOff = sidecarEntries(pod).some(
      ({ msg }) => msg === 'the storing of a checkpoint was broken off',
    )
    if (byHandMs > evictedMs || brokenOff) overlapped++
    const final = taken.at(-1)
    const numbers = numbersIn(pod, step)
    const isLast = final?.trigger === 'prestop' && (await stage.manifests())[0]?.id === final.checkpoint
    const first = last + 1
    if (isLast && numbers.every((number, index) => number === first + index)) held++
    else t.fail(`evicted ${delayMs} ms after it began: ${JSON.stringify({ answer, taken, numbers })}`)
    last = numbers.at(-1) ?? 0
  }
  t.comment(`evictions: ${delaysMs.length} ran, ${held} held; ${overlapped} while the other was under way`)
  t.equal(held, delaysMs.length)
  t.ok(overlapped > 0, 'at least one came upon the other')
})

t.test('requests at the same time are all answered, and those that wait share a checkpoint', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const pod = await stage.run(podOf(steps))
  await pod.waitForLog(application, step, { nth: 5, deadlineMs })
  const answers = await Promise.all([1, 2, 3].map((n) => askControl(pod, { reason: `number ${n}` })))
  t.same(answers.map((answer) => answer.app?.outcome), ['taken', 'taken', 'taken']) // prettier-ignore
  const ids = answers.map((answer) => answer.app?.id)
  t.ok(new Set(ids).size > 1, 'what was asked for after the first was begun is in another')
  const seen = numbersIn(pod, step).length
  await pod.waitForLog(application, step, { nth: seen + 5, deadlineMs })
  const numbers = numbersIn(pod, step)
  t.same(numbers, numbers.map((_, index) => index + 1)) // prettier-ignore
  t.match(pod.logs(sidecar), /a checkpoint was taken/)
})

/** Asks for a checkpoint by hand, and again, until the application is seen to stand still for one. */
async function caughtStanding(pod: Pod): Promise<{ byHand: Promise<ControlAnswer | Error> }> {
  for (let request = 1; request <= 20; request++) {
    const answered = new AbortController()
    const byHand = askControl(pod, { afterwards: 'resume' })
      .catch((error: Error) => error)
      .finally(() => answered.abort())
    while (!answered.signal.aborted) {
      if (standsStill(pod)) return { byHand }
      await sleep(2)
    }
  }
  throw new Error(`the application was never seen to stand still\n${pod.describe()}`)
}

/** CRIU stops the tree's tasks by ptrace(2): proc(5) gives their state as `t`. */
function standsStill(pod: Pod): boolean {
  return pod
    .container(application)
    .processes()
    .some((pid) => readStatNow(pid)?.state === 't')
}
