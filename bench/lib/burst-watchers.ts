/**
 * What may watch a program's memory. Each gives it half as much again once it has noticed that the memory is nearly full, after a hold that
 * stands for the wait for a decision, a resize, or CRIU's seizing of the tasks. All but the throttle freeze the program for that long.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { compile } from '../../test/harness/native.ts'
import { MemoryCgroup } from '../../sidecar/triggers/memory/memory-cgroup.ts'
import { Tripwire } from '../../sidecar/triggers/memory/tripwire.ts'
import { thresholdBytes } from '../../sidecar/triggers/memory/usage.ts'

export type Watched = { folder: string; scratch: string; holdMs: number }
export type Watch = (watched: Watched) => Promise<{ stop: () => Promise<void> }>

export const percent = 85
/** The smallest share of the smallest window that the kernel's documentation gives: 500 ms; and 1 % of it. */
const psiTrigger = 'some 5000 500000'

export const watchers: Record<string, Watch> = {
  /** memory.high, and the freezer as soon as the crossing is noticed. */
  tripwire: (watched) => tripwire(watched, () => freezeAndGrow(watched)),
  /** memory.high alone. */
  throttle: (watched) => tripwire(watched, () => holdAndGrow(watched)),
  poll_100ms: async (watched) => poller(watched, 100),
  poll_1s: async (watched) => poller(watched, 1000),
  psi: psiWatcher,
}

async function tripwire({ folder, scratch }: Watched, answer: () => Promise<void>) {
  const crossed = async () => {
    await answer()
    await wire.arm()
  }
  const wire = new Tripwire({
    cgroup: new MemoryCgroup(2, folder),
    percent,
    recordFile: join(scratch, 'throttle'),
    crossed,
    log: pino({ level: 'silent' }),
  })
  await wire.start()
  return wire
}

function poller(watched: Watched, everyMs: number) {
  const { look, settled } = lookerAt(watched)
  const timer = setInterval(look, everyMs)
  return {
    stop: async () => {
      clearInterval(timer)
      await settled()
    },
  }
}

async function psiWatcher(watched: Watched) {
  const program = await compile(join(import.meta.dirname, '../programs/psi-trigger.c'))
  const { look, settled } = lookerAt(watched)
  const child = spawn(program, [`${watched.folder}/memory.pressure`, psiTrigger], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })
  await once(lines, 'line')
  lines.on('line', look)
  return {
    stop: async () => {
      child.kill('SIGKILL')
      await once(child, 'close')
      await settled()
    },
  }
}

/** Looks at the usage, one look at a time. */
function lookerAt(watched: Watched) {
  let looking: Promise<void> | undefined
  const lookOnce = async () => {
    const [used = 0, limit = 0] = ['memory.current', 'memory.max'].map((name) =>
      Number(readFileSync(`${watched.folder}/${name}`, 'utf8')),
    )
    if (used >= thresholdBytes(limit, percent)) await freezeAndGrow(watched)
  }
  return {
    look: () => void (looking ??= lookOnce().finally(() => (looking = undefined))),
    settled: async () => looking,
  }
}

async function freezeAndGrow(watched: Watched): Promise<void> {
  const cgroup = new MemoryCgroup(2, watched.folder)
  await cgroup.freeze()
  await holdAndGrow(watched)
  cgroup.thaw()
}

async function holdAndGrow({ folder, holdMs }: Watched): Promise<void> {
  await delay(holdMs)
  writeFileSync(`${folder}/memory.max`, String((await new MemoryCgroup(2, folder).limitBytes()) * 1.5))
}
