/** `make demo`: a pod dies in the middle of its work, and its replacement goes on at the very next step. */
import { describeError } from '../src/errors.ts'
import { within } from '../test/harness/deadline.ts'
import { Stage } from './stage.ts'
import { Story } from './story.ts'
import { tell, type Result } from './tale.ts'
import { findWorkload } from './workloads.ts'

const settleMs = 15_000
const ending = new AbortController()
const interrupted = new Promise<never>((_, reject) => {
  ending.signal.addEventListener('abort', () => reject(ending.signal.reason))
})
interrupted.catch(() => undefined) // it matters only to who waits for it
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => ending.abort(new Error(`the demo was interrupted by ${signal}`)))
// `make demo | head`: nobody listens any more.
process.stdout.on('error', (error) => ending.abort(error))

let setting: Promise<Stage> | undefined
try {
  const story = new Story(process.stdout)
  const workload = findWorkload(process.env.WORKLOAD ?? 'numpy')
  story.headline(`Reprieve: a pod that dies carries on. Today: ${workload.what}.`)
  setting = Stage.set(workload, ending.signal)
  const stage = await Promise.race([setting, interrupted])
  const result = await Promise.race([tell(story, stage), interrupted])
  await stage.strike()
  story.end(result)
  requireSuccess(result)
} catch (error) {
  process.exitCode = 1
  await strike().catch((failure: unknown) => complain(failure))
  complain(error)
}
// What was interrupted may still be waiting for something of which nothing is left.
process.exit()

async function strike(): Promise<void> {
  if (setting === undefined) return
  const stage = await within(
    setting.catch(() => undefined),
    settleMs,
  )
  await stage?.strike()
}

function complain(error: unknown): void {
  process.stderr.write(`demo: ${describeError(error)}\n`)
}

/** @throws Error if it is not what was promised */
function requireSuccess({ lostSteps, repeatedSteps, identicalResult }: Result): void {
  if (lostSteps > 0 || repeatedSteps > 0 || !identicalResult)
    throw new Error('the replacement did not go on where the pod had died')
}
