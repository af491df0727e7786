/** The pod was told to end, and the container's preStop (the launcher) asks for its last checkpoint. */
import { Deadline } from '../../../src/deadline.ts'
import type { EventLog } from '../../../src/log.ts'
import { prestopTrigger } from '../../checkpoint/request.ts'
import type { LauncherConnection } from '../../launcher-socket/launcher-server.ts'
import type { Checkpointable, Trigger } from '../../container/trigger.ts'

/** How often the waiting hook hears from us, and how long each word lasts. */
// @deadline(lastsMs) The sidecar hangs at the pod's end | The user's `preStop` runs, counted from its last message
const patience = { everyMs: 1_000, lastsMs: 5_000 } as const

export class PrestopTrigger implements Trigger {
  readonly name = prestopTrigger
  readonly #log: EventLog
  #containers: ReadonlyMap<string, Checkpointable> = new Map()

  constructor(log: EventLog) {
    this.#log = log
  }

  async start(containers: ReadonlyMap<string, Checkpointable>): Promise<void> {
    this.#containers = containers
  }

  async stop(): Promise<void> {
    this.#containers = new Map()
  }

  async asked(connection: LauncherConnection, name: string, budgetMs: number): Promise<void> {
    const container = this.#containers.get(name)
    if (container === undefined) return connection.say({ verb: 'failed', reason: 'container-unknown' })
    const deadline = Deadline.in(budgetMs)
    container.ending(deadline)
    const reassure = () => connection.say({ verb: 'wait', ms: patience.lastsMs })
    reassure()
    const timer = setInterval(reassure, patience.everyMs)
    try {
      const outcome = await container.checkpoint({
        trigger: this.name,
        reason: 'the pod was told to end',
        afterwards: 'end',
        byHook: true,
        deadline,
      })
      if (outcome.outcome === 'taken') connection.say({ verb: 'taken', id: outcome.id })
      else connection.say({ verb: 'failed', reason: outcome.reason })
    } catch (error) {
      this.#log.error({ event: 'prestop.failed', err: error, container: name }, 'the last checkpoint failed')
      connection.say({ verb: 'failed', reason: 'internal' })
    } finally {
      clearInterval(timer)
    }
  }
}
