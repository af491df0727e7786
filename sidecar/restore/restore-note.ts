/**
 * A restore that does not fit into the pod's memory limit takes its launcher with it: the kernel kills the whole container (memory.oom.group),
 * and nobody is left to say that the attempt failed. A note in the pod's volume, there while an attempt is under way, says so to the next launcher's
 * preparation, also where this sidecar's program was started again in between.
 *
 * Each such end counts as an early death, since whatever kills a container from outside looks the same and must not cost its newest checkpoint at
 * once: after as many as are allowed it is passed over, here and in the pods that follow (restore-choice.ts).
 */
import { appendFile, readFile, rm, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { isCheckpointId } from '../../src/checkpoint-id.ts'
import type { EventLog } from '../../src/log.ts'
import { isAlive, lifeOf } from '../proc/process-tree.ts'

/** Killed with the rest of its container, a launcher may end a little later than CRIU. */
const endingTogetherMs = 200

export class RestoreNote {
  readonly #path: string
  readonly #unrecorded: string
  readonly #life: string
  readonly #log: EventLog
  #isBegun = false

  /** @param life of the launcher that waits */
  constructor(runFolder: string, life: string, log: EventLog) {
    this.#path = `${runFolder}/restoring`
    this.#unrecorded = `${runFolder}/killed-unrecorded`
    this.#life = life
    this.#log = log
  }

  /** An attempt of this launcher's is under way. */
  get isBegun(): boolean {
    return this.#isBegun
  }

  async begin(checkpoint: string): Promise<void> {
    await writeFile(this.#path, `${this.#life} ${checkpoint}`)
    this.#isBegun = true
  }

  /** The attempt came to its end in order, or the launcher adopted the tree: what becomes of that is seen. */
  async end(): Promise<void> {
    this.#isBegun = false
    await rm(this.#path, { force: true }).catch((error: unknown) =>
      this.#log.warn(
        { event: 'restore.note_failed', err: error },
        'that a restore is over could not be noted',
      ),
    )
  }

  /**
   * Charges the checkpoint during whose restore an earlier launcher's container was killed, if there is one.
   * @param inOrder that container is known to have ended otherwise
   */
  async settle(inOrder: boolean, charge: (checkpoint: string) => Promise<void>): Promise<void> {
    const [life, checkpoint] = (await readFile(this.#path, 'latin1').catch(() => '')).split(' ')
    if (life === this.#life || !isCheckpointId(checkpoint)) return
    if (inOrder) await this.end()
    else await this.killed(checkpoint, charge)
  }

  /** Seen by a sidecar that lives: where the pod ends with the container there will be no next launcher. */
  async killed(checkpoint: string, charge: (checkpoint: string) => Promise<void>): Promise<void> {
    await charge(checkpoint).catch(async (error: unknown) => {
      this.#log.error(
        { event: 'restore.death_not_recorded', err: error, checkpoint },
        'an early death was not recorded: passed over in this pod',
      )
      await appendFile(this.#unrecorded, `${checkpoint}\n`)
    })
    await this.end()
  }

  /** What killed the container where the store could not be told so: tried again, nothing would ever come of this pod. */
  async unrecorded(): Promise<string[]> {
    const text = await readFile(this.#unrecorded, 'latin1').catch(() => '')
    return text.split('\n').filter(isCheckpointId)
  }
}

/** Whether the launcher ended together with an attempt that failed: also where a later one has its number by now. */
export async function endedWith(launcherPid: number, life: string): Promise<boolean> {
  const hasEnded = async () => lifeOf(launcherPid) !== life || !(await isAlive(launcherPid))
  if (await hasEnded()) return true
  await delay(endingTogetherMs)
  return hasEnded()
}
