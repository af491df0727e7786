/** Durations as Go writes them, down to milliseconds: `90s`, `1h30m`, `1.5m`, `250ms`. */
const millisecondsPer: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

const whole = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/
const part = /(\d+(?:\.\d+)?)(ms|s|m|h)/g

/** Rounded to whole milliseconds. Undefined if the text is no duration. */
export function parseDurationMs(text: string): number | undefined {
  if (text === '0') return 0
  if (text.length > 32 || !whole.test(text)) return undefined
  let totalMs = 0
  for (const [, amount, unit = ''] of text.matchAll(part))
    totalMs += Number(amount) * (millisecondsPer[unit] ?? 0)
  const rounded = Math.round(totalMs)
  return Number.isSafeInteger(rounded) ? rounded : undefined
}
