/** The protected containers of this pod, by name, for the triggers, the launchers and the reports. */
import { mkdir } from 'node:fs/promises'
import { volumePaths } from '../../src/volume.ts'
import type { Vitals } from '../proc/vitals.ts'
import type { Surroundings } from '../setup/surroundings.ts'
import { ContainerKeeper, type KeeperStatus } from './keeper.ts'
import { CheckpointLedger, type CheckpointEntry } from './ledger.ts'
import { estimate, freezeMs, tookMost } from './rates.ts'
import type { EndKeptOpen } from './state.ts'
import type { Checkpointable } from './trigger.ts'

export class Containers {
  readonly ledger = new CheckpointLedger()
  readonly keepers: ReadonlyMap<string, ContainerKeeper>
  /** The same containers, with the ledger that records each request of a trigger. */
  readonly asked: ReadonlyMap<string, Checkpointable>

  constructor(around: Surroundings) {
    const { containers } = around.podPlan
    this.keepers = new Map(containers.map((plan) => [plan.name, new ContainerKeeper(around, plan)]))
    this.asked = new Map([...this.keepers].map(([name, keeper]) => [name, this.ledger.watch(keeper)]))
  }

  get names(): string[] {
    return [...this.keepers.keys()]
  }

  /** @throws Error of the file system where the shared volume cannot be written */
  async makeFolders(): Promise<void> {
    for (const name of this.names) await mkdir(`${volumePaths.run}/${name}`, { recursive: true })
  }

  /** The CPU time and the memory of the application; undefined while none runs. */
  async vitals(name: string): Promise<Vitals | undefined> {
    return this.keepers.get(name)?.vitals()
  }

  /** The same for a trigger that nobody asked: undefined while the checkpoint that the application came from is on trial. */
  async vitalsToSave(name: string): Promise<Vitals | undefined> {
    return this.isOnTrial(name) ? undefined : this.vitals(name)
  }

  isOnTrial(name: string): boolean {
    return this.keepers.get(name)?.isOnTrial === true
  }

  /** The root of the application's tree while it runs. */
  rootOf(name: string): number | undefined {
    return this.keepers.get(name)?.root
  }

  /** The expected time of a checkpoint of so many bytes of memory, from the last checkpoints. */
  estimateMs(name: string, memoryBytes: number): number {
    const { startMs, dumpMs, storeMs } = estimate(tookMost(this.ledger.measured(name)), memoryBytes)
    return startMs + dumpMs + storeMs
  }

  /** For how long a checkpoint would stop the application now, by its memory and its files; undefined while it does not run. */
  async freezeMs(name: string, memoryBytes: number): Promise<number | undefined> {
    const keeper = this.keepers.get(name)
    const archive = await keeper?.archiveBytes()
    return archive === undefined
      ? undefined
      : freezeMs(this.ledger.measured(name), { memoryBytes, archiveBytes: archive })
  }

  async endKeptOpen(name: string): Promise<EndKeptOpen> {
    return (await this.keepers.get(name)?.endKeptOpen()) ?? { outcome: 'not-kept-open' }
  }

  get status(): (KeeperStatus & { lastAsked: CheckpointEntry | undefined })[] {
    return [...this.keepers.values()].map((keeper) =>
      Object.assign(keeper.status, { lastAsked: this.ledger.last(keeper.plan.name) }),
    )
  }

  /** The sidecar ends. Where the store cannot lock, a replacement would wait for a sign of life from the applications that have ended. */
  async leave(): Promise<void> {
    await Promise.all([...this.keepers.values()].map((keeper) => keeper.leaveLineage()))
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await Promise.all([...this.keepers.values()].map((keeper) => keeper.settled()))
  }
}
