/**
 * Whose `memory.high` is. Others set it too: systemd writes it anew with each property of a unit that changes (cgroup_context_apply,
 * src/core/cgroup.c), the kubelet with each resize under MemoryQoS. What they set holds where it is lower than ours, and is put back in the end.
 */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { MemoryCgroup } from './memory-cgroup.ts'
import { parseLimitBytes } from './usage.ts'

export class Brake {
  readonly #cgroup: MemoryCgroup
  readonly #recordFile: string
  /** What others have set, `max` for nothing. */
  #original = 'max'
  /** What we have set, or are about to. */
  #ours: readonly string[] = []

  /**
   * @param recordFile where both are kept, for a sidecar that is started again and for guard (launcher/guard/left.c). It is there for as long as the cgroup
   * may be frozen by us, too
   */
  constructor(cgroup: MemoryCgroup, recordFile: string) {
    this.#cgroup = cgroup
    this.#recordFile = recordFile
  }

  /** With what an earlier life recorded, where that one's brake stands still. Another cgroup's record says nothing of this one. */
  begin(): void {
    const now = this.#cgroup.brake()
    const record = existsSync(this.#recordFile) ? readFileSync(this.#recordFile, 'utf8') : ''
    const [values = ''] = record.split('\n')
    const [original = '', ...ours] = values.split(' ')
    this.#original = ours.includes(now) ? original : now
    this.#ours = ours.includes(now) ? ours : []
  }

  /** Whether what stands is what we would set: not after somebody else has written, nor for another limit. */
  stands(bytes: number): boolean {
    this.#notice()
    return this.#cgroup.brake() === this.#wanted(bytes)
  }

  /** A lower one of somebody else's stays. */
  async set(bytes: number): Promise<void> {
    const standing = this.#notice()
    const wanted = this.#wanted(bytes)
    // Killed before it is written, our successor finds the one that stood before.
    this.#ours = [...new Set([wanted, ...this.#ours.filter((ours) => ours === standing)])]
    this.#record()
    await this.#cgroup.setBrake(Number(wanted))
  }

  /** Synchronously, and without a record: an application is let go whatever becomes of disks. */
  putBack(): void {
    if (this.#notice() !== this.#original) this.#cgroup.raiseBrake(this.#original)
  }

  /** Once nothing of ours stands any more. */
  forget(): void {
    rmSync(this.#recordFile, { force: true })
  }

  #wanted(bytes: number): string {
    return String(Math.min(bytes, parseLimitBytes(this.#original)))
  }

  #notice(): string {
    const now = this.#cgroup.brake()
    if (/^(?:max|\d+)$/.test(now) && !this.#ours.includes(now)) this.#original = now
    return now
  }

  #record(): void {
    const values = [this.#original, ...this.#ours].join(' ')
    writeFileSync(`${this.#recordFile}.new`, `${values}\n${this.#cgroup.folder}`)
    renameSync(`${this.#recordFile}.new`, this.#recordFile)
  }
}
