/**
 * One checkpoint, from the freeze to the durable copy. While the application stands still CRIU holds it, and asks us
 * before it lets go; so at every instant one of these is true: it runs; it stands still and goes on when we or CRIU die; it
 * has been ended because its checkpoint is complete in the store.
 */
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { makeCheckpointId } from '../../src/checkpoint-id.ts'
import { obstacleOf } from '../../src/dump-obstacles.ts'
import { describeError, ReprieveError } from '../../src/errors.ts'
import type { EventLog } from '../../src/log.ts'
import type { CheckpointDraft, CheckpointManifest, ExternalFile, StdioPipe } from '../../src/manifest.ts'
import type { Life } from '../../src/generation.ts'
import { ttlMsOf, workOf, type ContainerPlan } from '../../src/pod-plan.ts'
import type { PutResult, Store } from '../../src/store/store.ts'
import { volumePaths } from '../../src/volume.ts'
import { dump } from '../criu/dump.ts'
import { keepConnections, type ConnectionCount } from '../criu/kept-connections.ts'
import { mendImages } from '../criu/mended-images.ts'
import { hasLinkRemaps, writersByPath } from '../criu/regular-files.ts'
import { dumpFolder, requireRoom } from './dump-folder.ts'
import { processesLeftOut } from './left-out.ts'
import type { CheckpointRequest } from './request.ts'
import { archiveEphemeral, archiveLinkRemaps, readNamesAhead } from '../files/archive.ts'
import { readBaseline, type Baseline } from '../files/baseline.ts'
import type { BaselineNames } from '../files/deleted-names.ts'
import { firstStartOf } from '../files/fresh-files.ts'
import { noteOpenDatabases } from '../files/open-databases.ts'
import { heldExternalFiles, withSoleWriters } from '../files/held-files.ts'
import { requireNoneExcluded, requireNoneWatched } from './held-excluded.ts'
import { readEphemeralRoots } from '../files/mounts.ts'
import { sharedPaths } from '../volumes/pod-volumes.ts'
import { filterCountOf } from '../proc/filter-count.ts'
import { inventoryFile, takeInventory } from '../proc/inventory.ts'
import { isAlive, lifeOf, stdioPipesOf, startOf, threadsOf, treeOf } from '../proc/process-tree.ts'
import { lifeIn } from '../lineage/life-note.ts'
import { instantInSlot } from '../lineage/slot-instant.ts'
import type { Surroundings } from '../setup/surroundings.ts'
import { cpuMsOf } from '../proc/vitals.ts'

export type CheckpointTarget = { plan: ContainerPlan; launcherPid: number; launcher: string; root: number }

export type CheckpointDone = {
  manifest: CheckpointManifest
  ended: boolean
  phases: Record<string, number>
  /** What the application had used when it stood still: more than that later is progress that is not in the checkpoint. */
  cpuMs: number
  /** Undefined where the application had none, or they could not be looked at. */
  connections: ConnectionCount | undefined
  /** Processes of the container that are not in the checkpoint. */
  leftOut?: readonly string[]
}

/**
 * @throws ReprieveError `dump-failed`, `archive-failed`, `store-failed` or `deadline-passed`; the application then goes on.
 */
export async function takeCheckpoint(
  around: Surroundings,
  target: CheckpointTarget,
  request: CheckpointRequest,
  hooks: CheckpointHooks,
): Promise<CheckpointDone> {
  const slot = { lineage: around.podPlan.lineage, container: target.plan.name }
  const life = await lifeIn(target.plan.name, lifeOf(target.launcherPid), around.log)
  const [instant] = await Promise.all([
    instantInSlot(around.store, slot, around.log),
    // Drafts of writers that died may fill the very disk that this one needs.
    around.store
      .prune(slot, around.podPlan.keep, AbortSignal.timeout(sweepDeadlineMs), {
        generation: life.generation.id,
        ttlMs: ttlMsOf(around.podPlan),
      })
      .catch((error) =>
        around.log.warn(
          { event: 'store.leftovers_kept', err: error },
          'what dead writers left was not removed',
        ),
      ),
  ])
  const id = makeCheckpointId(instant)
  const folder = await dumpFolder(around.store, slot, id, request)
  const work = `${volumePaths.staging}/${target.plan.name}/${id}.work`
  const log = around.log.child({ container: target.plan.name, checkpoint: id })
  try {
    for (const path of [`${folder}/criu`, work]) await mkdir(path, { recursive: true, mode: 0o700 })
    const roomBytes = await requireRoom(target.root, folder)
    // Its file is mapped into every dumped tree, and must be there, byte for byte, where the tree is restored.
    const launcher = `launcher-${target.launcher}`
    await copyFile(`${volumePaths.bin}/${launcher}`, `${folder}/${launcher}`)
    return await new Checkpoint({
      around,
      target,
      request,
      hooks,
      id,
      instant,
      life,
      folder,
      work,
      roomBytes,
      log,
    }).take()
  } finally {
    // A complete checkpoint must not become a failed one because its scratch files were in the way.
    for (const path of [work, folder])
      await rm(path, { recursive: true, force: true }).catch((error) =>
        log.warn({ event: 'checkpoint.staging_kept', err: error }, 'staging was not cleared'),
      )
  }
}

/** What is told of a checkpoint while it is taken. */
export type CheckpointHooks = {
  /** CRIU has stopped every task. */
  stopped: () => Promise<void>
  /** CRIU is about to resume the application; where CRIU died, when that is known. */
  resuming: () => void
  /** The application runs again, and its checkpoint is only being stored. */
  storing: () => void
  /** Cuts the storing short that `storing` told of. */
  breakOff: AbortSignal
}

/** Before the application is frozen, so it costs none of its time, but some of its grace. */
const sweepDeadlineMs = 2_000

/** The names of 400,000 files take a third of a second. */
// @deadline A container has very many files | The dump begins before their names are read
const aheadMs = 2_000

/** Killing or waking a tree of ten thousand tasks takes about a second. */
// @deadline CRIU does not end after its last instruction | The sidecar kills it
const lettingGoMs = 60_000

/** `pids`: of all threads. */
type Standing = {
  processes: number[]
  pids: number[]
  externalFiles: ExternalFile[]
  sharedFiles: ExternalFile[]
  /** The seccomp filters of the container. */
  filters: number | undefined
}

type Parts = {
  around: Surroundings
  target: CheckpointTarget
  request: CheckpointRequest
  hooks: CheckpointHooks
  id: string
  instant: Date
  life: Life
  folder: string
  work: string
  roomBytes: number
  log: EventLog
}

class Checkpoint {
  readonly #parts: Parts
  readonly #abort = new AbortController()
  #archive: Promise<{ ms: number; entries: number; deleted: number } | Error> | undefined
  #namesAhead: Promise<BaselineNames | undefined> = Promise.resolve(undefined)
  #standing: Promise<Standing | Error> | undefined
  #cpuMs = 0
  #connections: ConnectionCount | undefined
  #stdio: StdioPipe[] = []
  #put: PutResult | undefined
  #storeCpuMs = 0
  #failure: unknown
  #frozenAt = 0
  #deadline: NodeJS.Timeout | undefined

  constructor(parts: Parts) {
    this.#parts = parts
  }

  async take(): Promise<CheckpointDone> {
    const { launcherPid, root } = this.#parts.target
    const began = performance.now()
    const leftOut = await processesLeftOut(launcherPid, root)
    this.#stdio = uniquePipes([...(await stdioPipesOf(launcherPid)), ...(await stdioPipesOf(root))])
    this.#deadline = setTimeout(() => this.#abort.abort(), this.#leftMs())
    try {
      const { launcherPid: pid, plan } = this.#parts.target
      const { excluded } = await readEphemeralRoots(pid, plan)
      await this.#requireNoneExcluded(await treeOf(root), excluded)
      const sinceMs = await this.#firstStart()
      this.#namesAhead = readNamesAhead(await this.#archiveOptions())
      await Promise.race([this.#namesAhead, delay(Math.min(aheadMs, this.#leftMs() / 10))])
      const times = await dump({
        launcherPid,
        root,
        stdio: this.#stdio,
        imagesFolder: `${this.#parts.folder}/criu`,
        workFolder: this.#parts.work,
        leaveRunning: this.#parts.request.afterwards === 'resume',
        watched: (paths) => requireNoneWatched(paths, { pid, excluded, sinceMs }),
        frozen: () => this.#whenFrozen(),
        dumped: async () => {
          const answer = await this.#whenDumped()
          if (answer === 'abort' || this.#parts.request.afterwards === 'resume') this.#parts.hooks.resuming()
          return answer
        },
        // The deadline itself is ours (#deadline); this one is for a CRIU that does not come to its end after it was let go.
        deadlineMs: this.#leftMs() + lettingGoMs,
        signal: this.#abort.signal,
        log: this.#parts.log,
      }).catch((error: unknown) => {
        throw this.#failure ?? error
      })
      const { hooks, request } = this.#parts
      if (request.afterwards === 'resume') hooks.storing()
      hooks.breakOff.addEventListener('abort', () => this.#abort.abort(), { once: true })
      if (hooks.breakOff.aborted) this.#abort.abort()
      const draft = await this.#draft(times)
      // What goes on is stored while it runs, and that has the deadline again.
      this.#deadline = setTimeout(() => this.#abort.abort(), this.#leftMs())
      const put = this.#put ?? (await this.#store(draft))
      const archived = await this.#archive
      const archiveMs = archived instanceof Error || archived === undefined ? 0 : archived.ms
      const phases = {
        ...times,
        archiveMs,
        hashMs: put.hashMs,
        writeMs: put.writeMs,
        syncMs: put.syncMs,
        storeCpuMs: this.#storeCpuMs,
        totalMs: performance.now() - began,
      }
      const ended = this.#parts.request.afterwards === 'end'
      return {
        manifest: put.manifest,
        ended,
        phases: rounded(phases),
        cpuMs: this.#cpuMs,
        connections: this.#connections,
        leftOut,
      }
    } finally {
      clearTimeout(this.#deadline)
      this.#abort.abort()
    }
  }

  #leftMs(): number {
    return this.#parts.request.deadline.timerMs
  }

  /** All tasks stand still: archive the files beside CRIU's dump of the memory, and note what must fit later. */
  #whenFrozen(): void {
    this.#frozenAt = Date.now()
    this.#parts.hooks
      .stopped()
      .catch((error: unknown) =>
        this.#parts.log.error({ event: 'checkpoint.listener_failed', err: error }, 'letting go failed'),
      )
    const archive = async () => archiveEphemeral(await this.#archiveOptions(), await this.#namesAhead)
    this.#archive = archive().catch(asError)
    this.#standing = this.#lookAround().catch(asError)
  }

  async #requireNoneExcluded(pids: readonly number[], excluded: readonly string[]): Promise<void> {
    if (excluded.length === 0) return
    requireNoneExcluded({ pids, excluded, sinceMs: await this.#firstStart() })
  }

  /** Whatever is younger on a volume of the pod was written by this container or beside it, perhaps before it last started. */
  async #firstStart(): Promise<number> {
    const first = await firstStartOf(`${volumePaths.run}/${this.#parts.target.plan.name}`)
    const { instantMs } = await this.#baseline()
    return first === 0 ? instantMs : Math.min(first, instantMs)
  }

  async #baseline(): Promise<Baseline> {
    const { plan, launcherPid } = this.#parts.target
    const listed = await readBaseline(`${volumePaths.run}/${plan.name}`)
    // An application that began without us: what changed since then is known, what it deleted is not.
    return listed ?? { instantMs: await startOf(launcherPid), names: undefined }
  }

  async #archiveOptions() {
    const { plan, launcherPid } = this.#parts.target
    const baseline = await this.#baseline()
    const { folder, roomBytes, log } = this.#parts
    return {
      pid: launcherPid,
      plan,
      baseline,
      folder,
      roomBytes,
      deadlineMs: this.#leftMs(),
      signal: this.#abort.signal,
      log,
    }
  }

  async #lookAround(): Promise<Standing> {
    const { plan, launcherPid, root } = this.#parts.target
    const processes = await treeOf(root)
    // Of an application that was killed just before, only our own root is left: restored, it would tell of the death again.
    const others = processes.filter((pid) => pid !== root)
    if (!(await Promise.all(others.map(isAlive))).includes(true))
      throw new ReprieveError('dump-failed', 'the application had ended before it could be dumped')
    const roots = await readEphemeralRoots(launcherPid, plan)
    await this.#requireNoneExcluded(processes, roots.excluded)
    const { mountPoints, external } = roots
    const inventory = JSON.stringify(await takeInventory(launcherPid, processes))
    await writeFile(`${this.#parts.folder}/${inventoryFile}`, Buffer.from(inventory, 'latin1'))
    const shared = await sharedPaths(launcherPid, roots, plan)
    await noteOpenDatabases(processes, `${this.#parts.folder}/criu`).catch((error: unknown) =>
      this.#parts.log.warn(
        { event: 'images.databases_unread', err: error },
        'SQLite may refuse to write to an open database after a restore',
      ),
    )
    return {
      processes,
      pids: await threadsOf(processes),
      filters: await filterCountOf(launcherPid),
      externalFiles: await heldExternalFiles({ pids: processes, mountPoints, external }),
      sharedFiles: await heldExternalFiles({ pids: processes, mountPoints, external: shared }),
    }
  }

  /** The images are complete. Where the application is to end, it ends only when its checkpoint is in the store. */
  async #whenDumped(): Promise<'go' | 'abort'> {
    try {
      const archived = await this.#archive
      if (archived instanceof Error) throw archived
      if (await hasLinkRemaps(`${this.#parts.folder}/criu`))
        await archiveLinkRemaps(await this.#archiveOptions(), this.#frozenAt - 50)
      await mendImages(`${this.#parts.folder}/criu`, this.#parts.log)
      // Only now: until here CRIU had the application's own tasks hand out their pages.
      const standing = await this.#standing
      if (standing !== undefined && !(standing instanceof Error)) {
        this.#connections = await keepConnections({
          imagesFolder: `${this.#parts.folder}/criu`,
          pids: standing.processes,
          signal: this.#abort.signal,
          log: this.#parts.log,
        })
        this.#cpuMs = await cpuMsOf(standing.processes)
        const writing = {
          writers: () => writersByPath(`${this.#parts.folder}/criu`),
          pids: standing.processes,
          isEnding: this.#parts.request.afterwards === 'end',
        }
        standing.externalFiles = await withSoleWriters(standing.externalFiles, writing)
        standing.sharedFiles = await withSoleWriters(standing.sharedFiles, writing)
      }
      if (this.#parts.request.afterwards === 'end') {
        this.#put = await this.#store(
          await this.#draft({ frozenMs: Date.now() - this.#frozenAt, dumpMs: Date.now() - this.#frozenAt }),
        )
      }
      if (this.#abort.signal.aborted) return 'abort'
      // From here CRIU is ending or waking the tree: cutting that short would leave half of it.
      clearTimeout(this.#deadline)
      return 'go'
    } catch (error) {
      this.#failure = error
      return 'abort'
    }
  }

  async #store(draft: CheckpointDraft): Promise<PutResult> {
    const { store } = this.#parts.around
    const before = process.cpuUsage()
    const put = await withDeadline(store, draft, this.#parts.folder, this.#abort.signal)
    const { user, system } = process.cpuUsage(before)
    this.#storeCpuMs = (user + system) / 1_000
    return put
  }

  async #draft(times: { frozenMs: number; dumpMs: number }): Promise<CheckpointDraft> {
    const standing = await this.#standing
    if (obstacleOf(standing) !== undefined) throw standing
    if (standing === undefined || standing instanceof Error)
      throw new ReprieveError('dump-failed', 'the processes could not be looked at', {}, standing)
    const archived = await this.#archive
    const { plan, launcher, root } = this.#parts.target
    const { podPlan, identity, made } = this.#parts.around
    const { earlierFingerprint: _, ...work } = workOf(podPlan, plan)
    return {
      id: this.#parts.id,
      slot: { lineage: podPlan.lineage, container: plan.name },
      createdAt: new Date(Math.max(Date.now(), this.#parts.instant.getTime())).toISOString(),
      trigger: this.#parts.request.trigger,
      reason: this.#parts.request.reason,
      pod: identity,
      fits: { ...work, architecture: process.arch, launcher },
      ...this.#parts.life,
      made,
      process: {
        rootPid: root,
        pids: standing.pids,
        stdio: this.#stdio,
        ...(standing.filters === undefined ? {} : { filters: standing.filters }),
      },
      externalFiles: standing.externalFiles,
      ...(standing.sharedFiles.length === 0 ? {} : { sharedFiles: standing.sharedFiles }),
      timings: rounded({
        frozenMs: times.frozenMs,
        dumpMs: times.dumpMs,
        archiveMs: archived === undefined || archived instanceof Error ? 0 : archived.ms,
      }),
    }
  }
}

async function withDeadline(
  store: Store,
  draft: CheckpointDraft,
  folder: string,
  signal: AbortSignal,
): Promise<PutResult> {
  try {
    return await store.put(draft, folder, signal)
  } catch (error) {
    if (signal.aborted)
      throw new ReprieveError('deadline-passed', `storing was cut short: ${describeError(error)}`, {}, error)
    throw error
  }
}

function uniquePipes(pipes: StdioPipe[]): StdioPipe[] {
  return [...new Map(pipes.map((pipe) => [`${pipe.fd} ${pipe.inode}`, pipe])).values()]
}

function rounded<Key extends string>(values: Record<Key, number>): Record<Key, number> {
  return Object.fromEntries(
    Object.entries<number>(values).map(([key, ms]) => [key, Math.round(ms * 10) / 10]),
  ) as Record<Key, number>
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
