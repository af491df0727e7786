/**
 * What /proc tells of processes and threads that a restore has to bring back, beside memory and descriptors. Taken at a checkpoint while
 * they stand still, and again when they run on: what differs then is told.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { lockCounts, recordLocksOf } from './record-locks.ts'

export type Inventory = {
  version: 1
  /** The processors that the container's own launcher may use, hexadecimal. */
  affinity: string
  /** By PID and PID/TID. */
  tasks: Record<string, Record<string, string>>
}

/** Of a process: its record locks, as record-locks.ts writes them, with spaces between. */
export const locksKey = 'record locks'

/** Of a checkpoint, beside the images. */
export const inventoryFile = 'inventory.json'

/** In /proc/PID/status, proc_pid_status(5); of the first thread. */
const statusKeys = ['Umask', 'Uid', 'Gid', 'Groups', 'NoNewPrivs', 'Seccomp', 'CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'THP_enabled'] // prettier-ignore
/** In /proc/PID/stat behind the name, proc_pid_stat(5), from the third field on. */
const statFields = { nice: 16, realtime: 37, policy: 38 } as const
const processFields = { group: 2, session: 3 } as const

/** A look takes some 30 µs for each, and the application stands still. */
const mostTasks = 10_000
const tasksAtOnce = 64

export async function takeInventory(launcherPid: number, pids: readonly number[]): Promise<Inventory> {
  const tasks: Inventory['tasks'] = {}
  const locks = lockCounts()
  let count = 0
  for (const pid of pids) {
    const process = processOf(pid)
    if (process === undefined) continue
    tasks[pid] = process
    const held = recordLocksOf(pid, locks.get(pid) ?? 0)
    if (held.length > 0) process[locksKey] = held.join(' ')
    for (const tid of namesIn(`/proc/${pid}/task`)) {
      if (++count > mostTasks) break
      const task = taskOf(`/proc/${pid}/task/${tid}`)
      if (task !== undefined) tasks[`${pid}/${tid}`] = task
      if (count % tasksAtOnce === 0) await setImmediate()
    }
  }
  return { version: 1, affinity: affinityIn(textOf(`/proc/${launcherPid}/status`)), tasks }
}

/** The threads that do not use all processors that their container may use, with the masks as sched_setaffinity(2) takes them. */
export function pinnedThreads({ affinity, tasks }: Inventory): { tid: number; mask: string }[] {
  return Object.entries(tasks).flatMap(([name, { affinity: mask }]) => {
    const tid = Number(name.split('/')[1])
    return mask === undefined || mask === affinity || !(tid > 0) ? [] : [{ tid, mask }]
  })
}

/** @returns a line for each that is another now; of tasks that have ended since nothing is told */
export function differences(was: Inventory, is: Inventory): string[] {
  const pinned = new Set(pinnedThreads(was).map(({ tid }) => String(tid)))
  const lines: string[] = []
  for (const [task, before] of Object.entries(was.tasks)) {
    const now = is.tasks[task]
    if (now === undefined) continue
    for (const [key, value] of Object.entries(before)) {
      // A program that runs sets and drops them all the time: they are compared while the tree stands still (put-back-locks.ts).
      if (key === locksKey) continue
      if (key === 'affinity' && !pinned.has(task.split('/')[1] ?? '')) continue
      if (now[key] !== undefined && now[key] !== value)
        lines.push(`${task}: ${key} was ${value}, and is ${now[key]}`)
    }
  }
  return lines
}

function processOf(pid: number): Record<string, string> | undefined {
  const status = textOf(`/proc/${pid}/status`)
  // What has ended has no memory any more, and little else.
  if (!/^VmSize:/m.test(status)) return undefined
  const process: Record<string, string> = {}
  for (const key of statusKeys) {
    const value = valueIn(status, key)
    if (value !== undefined) process[key] = value
  }
  const fields = fieldsOf(textOf(`/proc/${pid}/stat`))
  for (const [key, at] of Object.entries(processFields)) process[key] = fields[at] ?? ''
  for (const file of ['oom_score_adj', 'coredump_filter', 'personality']) {
    const text = textOf(`/proc/${pid}/${file}`).trim()
    if (text !== '') process[file] = text
  }
  for (const [, limit = '', value = ''] of textOf(`/proc/${pid}/limits`).matchAll(limitLine))
    process[limit.toLowerCase()] = value.replace(/\s+/g, ' ')
  return process
}

const limitLine = /^(Max \w+(?: \w+)*?) {2,}(\S+ +\S+)/gm

function taskOf(folder: string): Record<string, string> | undefined {
  const status = textOf(`${folder}/status`)
  const stat = textOf(`${folder}/stat`)
  if (!/^VmSize:/m.test(status) || stat === '') return undefined
  const fields = fieldsOf(stat)
  const task: Record<string, string> = { affinity: affinityIn(status) }
  for (const [key, at] of Object.entries(statFields)) task[key] = fields[at] ?? ''
  return task
}

function valueIn(status: string, key: string): string | undefined {
  return new RegExp(`^${key}:[ \\t]*(.*)$`, 'm').exec(status)?.[1]?.trim().replaceAll('\t', ' ')
}

/** Without the zeros and commas in front that say how many processors a machine may have. */
function affinityIn(status: string): string {
  return (valueIn(status, 'Cpus_allowed') ?? '').replaceAll(',', '').replace(/^0+(?=.)/, '')
}

/** Behind the name, which may hold spaces and brackets. */
function fieldsOf(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).trim().split(' ') // prettier-ignore
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}
