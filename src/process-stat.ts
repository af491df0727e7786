/**
 * The one reader of /proc/PID/stat (proc_pid_stat(5)). The second field, the program's name in parentheses, may itself
 * hold any character: the fields are counted from the last closing parenthesis.
 */
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { errnoOf } from './errors.ts'

/** The kernel counts time for user space in ticks, 100 a second on every machine (USER_HZ). */
const tickMs = 10

export type ProcessStat = {
  name: string
  /** One letter: `Z` and `X` are processes that have ended, `t` is one that a tracer has stopped. */
  state: string
  parent: number
  group: number
  session: number
  threads: number
  /** User and system time: its own, and of those children that it has waited for. */
  cpuMs: number
  childrenCpuMs: number
  /** When it began, in ticks since the machine booted: a later process with its number has another. */
  startTicks: number
}

/** Undefined when there is no such process. */
export async function readStat(pid: number): Promise<ProcessStat | undefined> {
  return parseStat(await readFile(`/proc/${pid}/stat`, 'latin1').catch(withoutProcess))
}

/** The same, at once. */
export function readStatNow(pid: number): ProcessStat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch (error) {
    return parseStat(withoutProcess(error))
  }
}

/** Undefined for a text that is not one of the kernel's. */
export function parseStat(text: string): ProcessStat | undefined {
  const [, name, state = '', rest = ''] = /^\d+ \((.*)\) (\S) ([^)]*)$/s.exec(text) ?? []
  if (name === undefined) return undefined
  // `rest` begins with field 4.
  const fields = rest.trimEnd().split(' ').map(Number)
  const field = (number: number) => fields[number - 4] ?? Number.NaN
  return {
    name,
    state,
    parent: field(4),
    group: field(5),
    session: field(6),
    threads: field(20),
    cpuMs: (field(14) + field(15)) * tickMs,
    childrenCpuMs: (field(16) + field(17)) * tickMs,
    startTicks: field(22),
  }
}

/** A process that ends while its file is open gives ESRCH. @throws any other error: it tells nothing of the process */
function withoutProcess(error: unknown): string {
  if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return ''
  throw error
}
