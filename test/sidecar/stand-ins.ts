/** Stand-ins for what the sidecar's parts are given, and small helpers for real sockets and processes. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readlinkSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ContainerPlan, PodPlan } from '../../src/pod-plan.ts'
import { emptySlotRecord } from '../../src/slot-record.ts'
import type { Epochs, Store } from '../../src/store/store.ts'
import type { SlotRecord } from '../../src/manifest.ts'
import { CheckpointQueue } from '../../sidecar/container/queue.ts'
import type { CheckpointOutcome, CheckpointRequest } from '../../sidecar/checkpoint/request.ts'
import type { ToLauncher } from '../../sidecar/launcher-socket/launcher-messages.ts'
import type { LauncherProcess } from '../../sidecar/launcher-socket/launcher-process.ts'
import type { LauncherConnection } from '../../sidecar/launcher-socket/launcher-server.ts'
import type { OwnEpoch } from '../../sidecar/lineage/epoch-file.ts'
import { SlotLock } from '../../sidecar/lineage/slot-lock.ts'
import { ProcessNumbers } from '../../sidecar/proc/process-numbers.ts'
import { PodEvents } from '../../sidecar/setup/pod-events.ts'
import type { Surroundings } from '../../sidecar/setup/surroundings.ts'
import { until } from '../until.ts'
import { quietLog } from './quiet-log.ts'

export const containerPlan: ContainerPlan = {
  name: 'app',
  fingerprint: 'f',
  emptyDirs: [],
  external: [],
  memory: { thresholdPercent: 85, answer: 'checkpoint', recordsNeeds: false },
}

export const podPlan: PodPlan = {
  version: 1,
  namespace: 'ns',
  lineage: 'ns/Pod/p/0',
  store: { kind: 'directory', name: 'default', path: '/store' },
  keep: 3,
  restore: 'latest',
  triggers: ['manual'],
  checkpointBudgetMs: 1_000,
  nodeEvictionBytes: 0,
  statusPort: 0,
  cloud: { name: 'none' },
  interval: 'off',
  meanTimeBetweenFailuresMs: 86_400_000,
  containers: [containerPlan],
}

const nowhere = () => Promise.reject(new Error('there are no epochs here'))
/** Of a store that cannot be written. */
const noEpochs: Epochs = { take: nowhere, locked: nowhere, resume: nowhere, beat: nowhere, leave: nowhere, newest: async () => undefined } // prettier-ignore

/** A store in memory that holds a record only; every call can be replaced. */
export type StandInStore = Store & { record: SlotRecord; calls: string[] }

export function standInStore(parts: Partial<Store> = {}): StandInStore {
  const store: StandInStore = {
    name: 'stand-in',
    record: emptySlotRecord(),
    calls: [],
    list: async () => ({ manifests: [], unreadable: [] }),
    draftFolder: async () => undefined,
    put: () => Promise.reject(new Error('nothing is put here')),
    fetch: () => Promise.reject(new Error('nothing is here')),
    prune: async () => ({ removed: [] }),
    lockFile: () => Promise.reject(new Error('nothing locks here')),
    epochs: noEpochs,
    sweep: async () => [],
    removeBefore: async () => {
      store.calls.push('removeBefore')
      return { removed: [] }
    },
    readRecord: async () => store.record,
    writeRecord: async (_slot: unknown, record: SlotRecord) => {
      store.calls.push('writeRecord')
      store.record = record
    },
    ...parts,
  }
  return store
}

/** A lock without the launcher, which locks: the store seems to be one that cannot lock. @param uid of the pod */
export function lockIn(
  store: Store,
  uid = 'u',
  more: Partial<ConstructorParameters<typeof SlotLock>[0]> = {},
): SlotLock {
  let own: OwnEpoch | undefined
  const file = {
    read: async () => own,
    write: async (epoch: OwnEpoch) => {
      own = epoch
    },
  }
  const slot = { lineage: podPlan.lineage, container: containerPlan.name }
  const identity = { name: `pod-${uid}`, uid, node: 'n' }
  return new SlotLock({ store, slot, identity, file, log: quietLog, ...more })
}

export function surroundings(store: Store): Surroundings {
  const identity = { name: 'p', uid: 'u', node: 'n' }
  const made = { kernel: 'k', criu: 'c', reprieve: 'r' }
  const numbers = new ProcessNumbers(quietLog, async () => true)
  return { podPlan, identity, made, store, log: quietLog, numbers, events: new PodEvents() }
}

/** The real queue, in front of an application that is checkpointed by `take`. */
export function queueOf(app: {
  isRunning: () => boolean
  take: (request: CheckpointRequest) => Promise<CheckpointOutcome>
}): CheckpointQueue {
  const situation = () => (app.isRunning() ? 'running' : 'not-running')
  return new CheckpointQueue({ situation, begin: app.take, breakOff: () => undefined })
}

/** A launcher's connection that keeps what it was told. */
export class Heard implements LauncherConnection {
  readonly peer: LauncherProcess = { pid: 0, mode: 'run', container: containerPlan.name }
  readonly messages: ToLauncher[] = []
  closed = false
  say(message: ToLauncher): void {
    this.messages.push(message)
  }
  close(): void {
    this.closed = true
  }
  get verbs(): string[] {
    return this.messages.map((message) => message.verb)
  }
}

/** A folder of its own, under a short name: a socket's path has at most 107 bytes (unix(7)). */
export function shortFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'rv-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

type Test = { teardown: (work: () => unknown) => void }

/** A process that sleeps, ended with the test. In a mount namespace of its own it looks like one of another container. */
export async function sleeper(t: Test, where: 'here' | 'elsewhere'): Promise<ChildProcess & { pid: number }> {
  const argv = where === 'here' ? ['sleep', '100'] : ['unshare', '--mount', 'sleep', '100']
  return program(t, argv, (pid) => {
    const exe = readlinkSync(`/proc/${pid}/exe`)
    const mounts = readlinkSync(`/proc/${pid}/ns/mnt`) === readlinkSync('/proc/self/ns/mnt')
    return /sleep|coreutils/.test(exe) && mounts === (where === 'here')
  })
}

export async function program(
  t: Test,
  [file = '', ...args]: string[],
  isUp: (pid: number) => unknown = () => true,
): Promise<ChildProcess & { pid: number }> {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child, 'spawn')
  const { pid } = child
  if (pid === undefined) throw new Error(`${file} has no process number`)
  await until(`${file} to be up`, () => {
    try {
      return isUp(pid)
    } catch {
      return false
    }
  })
  return Object.assign(child, { pid })
}

export type Peer = { socket: Socket; said: () => string; ended: Promise<unknown> }

/** A client of a real socket, by path or by port of this machine. */
export async function peer(t: Test, where: string | number): Promise<Peer> {
  const socket = typeof where === 'string' ? connect(where) : connect(where, '127.0.0.1')
  t.teardown(() => socket.destroy())
  let text = ''
  socket.on('error', () => undefined)
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.on('data', (chunk) => {
    text += String(chunk)
  })
  await once(socket, 'connect')
  return { socket, said: () => text, ended }
}
