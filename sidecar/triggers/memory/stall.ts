/** Whether a cgroup waits for memory all the time. */

/**
 * Of the time, in each of two looks in a row: so little is not lost to a few pages that are read again. An application below the threshold is promised
 * that the throttle costs it less than a hundredth; systemd-oomd, which kills, waits for 60 % (oomd.conf(5), DefaultMemoryPressureLimit=).
 */
const leastShare = 0.1
const looks = 2

export class Stall {
  #last: { us: number; at: number } | undefined
  #inARow = 0

  /**
   * @param us in all so far, undefined where nobody counts
   * @param at in milliseconds
   */
  lasts(us: number | undefined, at: number): boolean {
    const last = this.#last
    this.#last = us === undefined ? undefined : { us, at }
    if (us === undefined || last === undefined) return false
    const share = (us - last.us) / 1000 / Math.max(1, at - last.at)
    this.#inARow = share >= leastShare ? this.#inARow + 1 : 0
    return this.#inARow >= looks
  }

  /** The next measurement does not continue the last one. */
  forget(): void {
    this.#last = undefined
    this.#inARow = 0
  }
}
