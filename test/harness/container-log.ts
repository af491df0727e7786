/** Container logs, in the CRI's format: `<RFC 3339 time> <stdout|stderr> <F|P> <text>` a line (P: the line goes on). */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

export type LogLine = {
  time: Date
  timeMs: number
  stream: 'stdout' | 'stderr'
  text: string
  attempt: number
}

/** Every complete record of the attempts' logs (`0.log`, `1.log`, …), oldest first. */
export function readLog(folder: string): { lines: LogLine[]; text: string } {
  const attempts = existsSync(folder)
    ? readdirSync(folder).map((name) => Number(/^(\d+)\.log$/.exec(name)?.[1] ?? -1)).filter((n) => n >= 0).sort((a, b) => a - b)
    : [] // prettier-ignore
  const lines: LogLine[] = []
  let text = ''
  for (const attempt of attempts) {
    const open: Record<string, string> = { stdout: '', stderr: '' }
    // What lies behind the last line feed is one that is just being written: it may be seen up to the end of a page of the cache.
    const records = readFileSync(join(folder, `${attempt}.log`), 'utf8')
      .split('\n')
      .slice(0, -1)
    for (const record of records) {
      const match = /^(\S+) (stdout|stderr) ([FP]) (.*)$/s.exec(record)
      if (match === null) continue
      const [, stamp = '', stream = 'stdout', tag, part = ''] = match
      text += tag === 'F' ? `${part}\n` : part
      const whole = (open[stream] ?? '') + part
      open[stream] = tag === 'F' ? '' : whole
      if (tag === 'F')
        lines.push({ ...momentOf(stamp), stream: stream as LogLine['stream'], text: whole, attempt })
    }
  }
  return { lines, text }
}

function momentOf(stamp: string): { time: Date; timeMs: number } {
  const time = new Date(stamp)
  const fraction = Number(`0${/\.\d+/.exec(stamp)?.[0] ?? ''}`)
  return { time, timeMs: Math.floor(time.getTime() / 1000) * 1000 + fraction * 1000 }
}
