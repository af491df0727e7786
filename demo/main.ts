/** `make demo`: a pod dies in the middle of its work, and its replacement goes on at the very next step. */
import { describeError } from '../src/errors.ts'
import { within } from '../test/harness/deadline.ts'
import { Stage } from './stage.ts'
import { Story } from './story.ts'
import { tell } from './tale.ts'
import { findWorkload } from './workloads.ts'

const settleMs = 15_000
const interrupted = Promise.withResolvers<never>()
interrupted.promise.catch(() => undefined)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => interrupted.reject(new Error(`the demo was interrupted by ${signal}`)))

let stage: Stage | undefined
try {
  const story = new Story(process.stdout)
  const workload = findWorkload(process.env.WORKLOAD ?? 'numpy')
  story.headline(`Reprieve: a pod that dies carries on. Today: ${workload.what}.`)
  const setting = Stage.set(workload)
  stage = await Promise.race([setting, interrupted.promise]).catch(async (error: unknown) => {
    stage = await within(setting, settleMs) // set up to its end, to be cleared away whole
    throw error
  })
  const telling = tell(story, stage)
  const result = await Promise.race([telling, interrupted.promise]).catch(async (error: unknown) => {
    await stage?.strike()
    await within(
      telling.catch(() => undefined),
      settleMs,
    )
    throw error
  })
  await stage.strike()
  story.end(result)
  if (!result.identicalResult || result.lostSteps > 0 || result.repeatedSteps > 0)
    throw new Error('the replacement did not go on where the pod had died')
} catch (error) {
  process.stderr.write(`demo: ${describeError(error)}\n`)
  process.exitCode = 1
} finally {
  await stage?.strike()
}
