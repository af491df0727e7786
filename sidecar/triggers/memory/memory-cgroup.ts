/**
 * The application's memory cgroup, mounted for this sidecar: its container shows only its own, and read-only. The mount lies in
 * the sidecar's own mount namespace; nobody else sees it.
 *
 * Its files are read and written synchronously. No disk is behind them, so that takes microseconds; and while calls into a hung store have
 * all threads of libuv, an asynchronous call would never thaw the application.
 */
import { mkdirSync, readFileSync, watch, writeFileSync, type FSWatcher } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { ReprieveError } from '../../../src/errors.ts'
import type { EventLog } from '../../../src/log.ts'
import { volumePaths } from '../../../src/volume.ts'
import { mustRun } from '../../proc/command.ts'
import {
  parseFlatKeys,
  parseLimitBytes,
  parseStalledUs,
  reclaimableOf,
  type MemoryEvents,
  type MemoryUsage,
} from './usage.ts'

const mountDeadlineMs = 10_000
/** A throttled process sleeps up to 2 s before it can be frozen (MEMCG_MAX_HIGH_DELAY_JIFFIES, mm/memcontrol.c). */
// @deadline A task of the application cannot be frozen | The sidecar continues without it
const freezeDeadlineMs = 5_000

/** Where the cgroup of a container is mounted. One that is mounted there already is replaced. */
export function cgroupMount(container: string): string {
  return `${volumePaths.run}/${container}/cgroup`
}

export class MemoryCgroup {
  readonly version: 1 | 2
  /** Its folder. */
  readonly folder: string

  constructor(version: 1 | 2, folder: string) {
    this.version = version
    this.folder = folder
  }

  /** @throws ReprieveError `command-failed` where it cannot be mounted */
  static async open(pid: number, at: string, log: EventLog): Promise<MemoryCgroup> {
    mkdirSync(at, { recursive: true })
    const argv = [volumePaths.launcher, 'memory-cgroup', `--pid=${pid}`, `--at=${at}`]
    const { stdout } = await mustRun(argv, { log, deadlineMs: mountDeadlineMs })
    const [, version, path = ''] = /^([12]) (\/.*)\n$/.exec(stdout) ?? []
    if (version === undefined)
      throw new ReprieveError('command-failed', `memory-cgroup said ${JSON.stringify(stdout)}`)
    return new MemoryCgroup(version === '1' ? 1 : 2, path === '/' ? at : `${at}${path}`)
  }

  /** Infinity for none. */
  async limitBytes(): Promise<number> {
    return parseLimitBytes(this.#read(this.version === 2 ? 'memory.max' : 'memory.limit_in_bytes'))
  }

  async usage(): Promise<MemoryUsage> {
    const current = this.#read(this.version === 2 ? 'memory.current' : 'memory.usage_in_bytes')
    const stat = parseFlatKeys(this.#read('memory.stat'))
    return { currentBytes: Number(current), reclaimableBytes: reclaimableOf(stat, this.version) }
  }

  /** v2 only. */
  async events(): Promise<MemoryEvents> {
    const values = parseFlatKeys(this.#read('memory.events'))
    return { high: values.get('high') ?? 0, oomKill: values.get('oom_kill') ?? 0 }
  }

  /** What `memory.high` says, `max` where nothing was set. v2 only. */
  throttle(): string {
    return this.#read('memory.high').trim()
  }

  /**
   * Below the usage: the kernel reclaims in the writer until usage is below, or gives up (memory_high_write, mm/memcontrol.c), which can
   * take long.
   */
  async setThrottle(high: number): Promise<void> {
    await writeFile(`${this.folder}/memory.high`, String(high))
  }

  /** @param high bytes, or `max`: no less than what is set */
  raiseThrottle(high: string): void {
    writeFileSync(`${this.folder}/memory.high`, high)
  }

  /** Calls back at each change of memory.events, at most every 10 ms (CGROUP_FILE_NOTIFY_MIN_INTV). v2 only. */
  watchEvents(changed: () => void): FSWatcher {
    return watch(`${this.folder}/memory.events`, { persistent: false }, changed)
  }

  /**
   * Calls back when somebody, ourselves included, has written `memory.high` or `memory.max`: the kernel reports a write to a
   * file of a cgroup like any other (fsnotify_modify in vfs_write, fs/read_write.c). v2 only.
   */
  watchSettings(changed: () => void): FSWatcher[] {
    return ['memory.high', 'memory.max'].map((name) =>
      watch(`${this.folder}/${name}`, { persistent: false }, changed),
    )
  }

  /**
   * For how long all of its tasks that had something to do have waited for memory, in microseconds since it was made; undefined where the
   * kernel does not count it (`psi=0`). v2 only.
   */
  stalledUs(): number | undefined {
    try {
      return parseStalledUs(this.#read('memory.pressure'))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' || code === 'EOPNOTSUPP') return undefined
      throw error
    }
  }

  /** Whether all of it stands still now, or does within 5 s. v2 only. */
  async freeze(): Promise<boolean> {
    writeFileSync(`${this.folder}/cgroup.freeze`, '1')
    for (const until = performance.now() + freezeDeadlineMs; performance.now() < until;) {
      if (parseFlatKeys(this.#read('cgroup.events')).get('frozen') === 1) return true
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return false
  }

  isFrozen(): boolean {
    return this.version === 2 && this.#read('cgroup.freeze').trim() === '1'
  }

  thaw(): void {
    writeFileSync(`${this.folder}/cgroup.freeze`, '0')
  }

  #read(name: string): string {
    return readFileSync(`${this.folder}/${name}`, 'latin1')
  }
}
