/** What a log of programs/hold.c tells: when the program was alive. Pure. */
export type Beat = { number: number; timeMs: number }

export function beatsIn(lines: readonly { text: string }[]): Beat[] {
  return lines.flatMap(({ text }) => {
    const match = /^beat (\d+) (\d+)$/.exec(text)
    return match === null ? [] : [{ number: Number(match[1]), timeMs: Number(match[2]) / 1000 }]
  })
}

/**
 * How long the program stood still between two instants: the longest pause between beats less the usual one, in ms.
 * @throws Error when the log does not cover the time
 */
export function standstillMs(beats: readonly Beat[], fromMs: number, toMs: number): number {
  const first = beats.findLastIndex(({ timeMs }) => timeMs <= fromMs)
  const last = beats.findIndex(({ timeMs }) => timeMs >= toMs)
  if (first < 0 || last < 0) throw new Error(`no beat before and after the ${toMs - fromMs} ms`)
  const pauses = beats
    .slice(first + 1, last + 1)
    .map(({ timeMs }, index) => timeMs - (beats[first + index]?.timeMs ?? 0))
  return Math.max(...pauses) - median(pauses)
}

/** @throws Error for an empty list */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const [low, high] = [
    sorted[Math.floor((sorted.length - 1) / 2)],
    sorted[Math.ceil((sorted.length - 1) / 2)],
  ]
  if (low === undefined || high === undefined) throw new Error('the median of nothing')
  return (low + high) / 2
}
