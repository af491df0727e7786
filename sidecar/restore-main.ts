/**
 * The restore init container: installs the tools and fetches the newest valid checkpoint of each container. It never fails the pod:
 * the sidecar tries again, or the application starts from its beginning.
 */
import { createLog, type EventLog } from '../src/log.ts'
import { bringNewest } from './restore/bring-newest.ts'
import { endingMs } from './restore/restore-budget.ts'
import { readSurroundings } from './setup/surroundings.ts'
import { installTools } from './setup/tools.ts'

/** For the whole init container. A store that needs longer is too slow to wait for. */
const deadlineMs = 600_000

const restoreLog = createLog('restore')
const log: EventLog = restoreLog
try {
  const { launcher, missing } = await installTools()
  if (missing.length > 0)
    log.error(
      { event: 'tools.missing', missing },
      'tools are missing from the image: the pod runs unprotected',
    )
  const around = readSurroundings(process.env, restoreLog)
  log.info({ event: 'tools.installed', launcher }, 'the tools were installed')
  const { containers, restoreBudgetMs = deadlineMs } = around.podPlan
  const signal = AbortSignal.timeout(Math.min(deadlineMs, restoreBudgetMs))
  const until = performance.now() + restoreBudgetMs - endingMs
  for (const plan of containers)
    await bringNewest(around, plan, { signal, budgetMs: Math.max(0, until - performance.now()) })
} catch (error) {
  log.error(
    { event: 'restore_init.failed', err: error },
    'the restore init container failed: the pod goes on without it',
  )
}
