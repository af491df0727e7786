/**
 * The throttle (`memory.high`), which others set too: systemd writes it again with each property of a unit that changes (cgroup_context_apply,
 * src/core/cgroup.c), the kubelet with each resize under MemoryQoS. Their value wins where it is lower than ours, and is restored in the end.
 */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { MemoryCgroup } from './memory-cgroup.ts'
import { parseLimitBytes } from './usage.ts'

export class Throttle {
  readonly #cgroup: MemoryCgroup
  readonly #recordFile: string
  /** The value that others have set, `max` for none. */
  #original = 'max'
  /** The values that we have set, or are about to set. */
  #ours: readonly string[] = []

  /**
   * @param recordFile keeps both values, for a restarted sidecar and for guard (launcher/guard/left.c). It exists for as long as we may have
   * frozen the cgroup, too
   */
  constructor(cgroup: MemoryCgroup, recordFile: string) {
    this.#cgroup = cgroup
    this.#recordFile = recordFile
  }

  /** Takes over the record of an earlier sidecar if its throttle is still set. The record of another cgroup is ignored. */
  begin(): void {
    const now = this.#cgroup.throttle()
    const record = existsSync(this.#recordFile) ? readFileSync(this.#recordFile, 'utf8') : ''
    const [values = ''] = record.split('\n')
    const [original = '', ...ours] = values.split(' ')
    this.#original = ours.includes(now) ? original : now
    this.#ours = ours.includes(now) ? ours : []
  }

  /** Whether `memory.high` is what we would set: it is not after somebody else has written it, nor for another limit. */
  stands(bytes: number): boolean {
    this.#notice()
    return this.#cgroup.throttle() === this.#wanted(bytes)
  }

  /** A lower value of somebody else stays. */
  async set(bytes: number): Promise<void> {
    const standing = this.#notice()
    const wanted = this.#wanted(bytes)
    // If the sidecar is killed before the write, the next one finds the value that was set before.
    this.#ours = [...new Set([wanted, ...this.#ours.filter((ours) => ours === standing)])]
    this.#record()
    await this.#cgroup.setThrottle(Number(wanted))
  }

  /** Synchronous, and without a record: no disk delays it. */
  putBack(): void {
    if (this.#notice() !== this.#original) this.#cgroup.raiseThrottle(this.#original)
  }

  /** To be called when no value of ours is set any more. */
  forget(): void {
    rmSync(this.#recordFile, { force: true })
  }

  #wanted(bytes: number): string {
    return String(Math.min(bytes, parseLimitBytes(this.#original)))
  }

  #notice(): string {
    const now = this.#cgroup.throttle()
    if (/^(?:max|\d+)$/.test(now) && !this.#ours.includes(now)) this.#original = now
    return now
  }

  #record(): void {
    const values = [this.#original, ...this.#ours].join(' ')
    writeFileSync(`${this.#recordFile}.new`, `${values}\n${this.#cgroup.folder}`)
    renameSync(`${this.#recordFile}.new`, this.#recordFile)
  }
}
