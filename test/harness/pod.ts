/** A pod on a node of the harness: started, kept, watched, ended. What it promises is written in node.ts. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { cgroupProcesses, removeCgroup } from './cgroup.ts'
import type { CommandResult } from '../../scripts/command.ts'
import { readLog, type LogLine } from './container-log.ts'
import type { Container } from './container.ts'
import { poll, slowness, within } from './deadline.ts'
import type { PodSpec } from './manifest.ts'
import type { PodContext, PodEvent } from './pod-context.ts'
import { setUpPod, type PodInput } from './pod-setup.ts'
import { initialize, keepRunning, startMains, type Supervision } from './pod-sync.ts'
import type { ResizeOutcome } from './resize.ts'
import type { Sandbox } from './sandbox.ts'
import { phaseOf, type PodStatus } from './status.ts'
import { killPod } from './termination.ts'
import { prepareVolume } from './volumes.ts'

/** Ends the test of what never happens; a machine may be busy. */
const defaultDeadlineMs = 120_000

export class Pod {
  readonly name: string
  readonly uid: string
  readonly events: PodEvent[] = []
  /** Resolves when the pod has ended and everything of it but its logs is gone. */
  readonly ended: Promise<PodStatus>
  readonly #input: PodInput
  readonly #dir: string
  readonly #logDir: string
  readonly #cgroupPath: string
  readonly #finish = Promise.withResolvers<PodStatus>()
  readonly #stopping = new AbortController()
  #containers: Container[] = []
  #sandbox: Sandbox | undefined
  #closing: Promise<PodStatus> | undefined
  #verdict: { reason: string; message: string } = { reason: '', message: '' }
  #terminal = false

  private constructor(input: PodInput) {
    const { name, namespace, uid } = input.identity
    this.#input = input
    this.name = name
    this.uid = uid
    this.ended = this.#finish.promise
    this.#dir = join(input.nodeDir, 'pods', uid)
    this.#logDir = join(input.nodeDir, 'logs', `${namespace}_${name}_${uid}`)
    this.#cgroupPath = `${input.cgroupParent}/pod${uid}`
  }

  /** Resolves once the sandbox stands; the containers then come one by one (pkg/kubelet/kuberuntime, SyncPod). */
  static async start(input: PodInput): Promise<Pod> {
    const pod = new Pod(input)
    try {
      const paths = { dir: pod.#dir, logDir: pod.#logDir, cgroupPath: pod.#cgroupPath }
      const { sandbox, context, containers } = await setUpPod(input, paths, (reason, message) =>
        pod.#event(reason, message),
      )
      pod.#sandbox = sandbox
      pod.#containers = containers
      void pod.#live(context)
    } catch (error) {
      await pod.#tearDown()
      throw error
    }
    return pod
  }

  get spec(): PodSpec {
    return this.#input.manifest.spec
  }

  async #live(context: PodContext): Promise<void> {
    const supervision: Supervision = {
      policy: this.spec.restartPolicy ?? 'Always',
      backoffScale: this.#input.backoffScale,
      graceSeconds: context.gracePeriodSeconds,
      stopping: this.#stopping.signal,
      note: (reason, message) => this.#event(reason, message),
    }
    try {
      const initialized = await initialize(this.#containers, supervision)
      if (initialized) {
        const mains = await startMains(this.#containers, supervision)
        await Promise.all(mains.map((main) => keepRunning(main, supervision)))
      }
      // All main containers have ended for good: SyncPod reports a terminal phase and the pod worker ends the rest.
      if (!this.#stopping.signal.aborted) await this.#close(context.gracePeriodSeconds)
    } catch (error) {
      this.#event('HarnessFailed', error instanceof Error ? (error.stack ?? error.message) : String(error))
      await this.crash()
    }
  }

  #event(reason: string, message: string): void {
    this.events.push({ timeMs: Date.now(), reason, message })
  }

  #close(graceSeconds: number): Promise<PodStatus> {
    this.#stopping.abort()
    this.#closing ??= (async () => {
      // One worker does all that happens to a pod, one thing after the other (pkg/kubelet/pod_workers.go).
      await Promise.all(this.#containers.map(({ starting }) => starting))
      await killPod(this.#containers, graceSeconds, (reason, message) => this.#event(reason, message))
      return this.#tearDown()
    })()
    return this.#closing
  }

  async #tearDown(): Promise<PodStatus> {
    this.#sandbox?.kill()
    await Promise.all(this.#containers.map(({ starting }) => starting))
    await removeCgroup(this.#cgroupPath)
    await within(Promise.all(this.#containers.map((container) => container.ended)), 60_000)
    await this.#sandbox?.stop()
    rmSync(this.#dir, { recursive: true, force: true })
    this.#terminal = true
    const status = this.status()
    this.#finish.resolve(status)
    return status
  }

  /**
   * The API's deletion or eviction: `terminationGracePeriodSeconds` of the pod unless another is given, whole
   * containers' hooks and all. Resolves when the pod is gone.
   */
  delete(options: { gracePeriodSeconds?: number } = {}): Promise<PodStatus> {
    return this.#close(options.gracePeriodSeconds ?? this.spec.terminationGracePeriodSeconds ?? 30)
  }

  /**
   * The kubelet's own eviction under node pressure (pkg/kubelet/eviction): the same order; a hard threshold gives one
   * second (immediateEvictionGracePeriodSeconds), a soft one what the node's configuration says.
   */
  evict(options: { gracePeriodSeconds?: number } = {}): Promise<PodStatus> {
    this.#verdict = { reason: 'Evicted', message: 'The node was low on resource: memory.' }
    return this.delete(options)
  }

  /** A node that loses its power: every process ends at the same moment, no hook runs, nobody is told. */
  async crash(): Promise<PodStatus> {
    this.#stopping.abort()
    this.#sandbox?.kill()
    for (const pid of cgroupProcesses(this.#cgroupPath)) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
    }
    this.#closing ??= this.#tearDown()
    return this.#closing
  }

  /**
   * An in-place resize of a container's memory limit, by the pod's `resize` subresource: in force, or deferred, and then in force
   * once there is room for it on the node. @throws ResizeInfeasible
   */
  async resize(container: string, limitBytes: number): Promise<ResizeOutcome> {
    const apply = async () => {
      await this.container(container).resize(limitBytes)
      this.#event('ResizeCompleted', `Pod resize completed: ${container} memory ${limitBytes}`)
    }
    const outcome = await this.#input.allocations.resize({ uid: this.uid, container, limitBytes, apply })
    if (outcome === 'deferred') this.#event('ResizeDeferred', `Pod resize Deferred: ${container} memory ${limitBytes}`) // prettier-ignore
    return outcome
  }

  status(): PodStatus {
    const of = (main: boolean) =>
      this.#containers.filter(({ kind }) => (kind === 'main') === main).map(({ status }) => status)
    const [init, main] = [of(false), of(true)]
    const evicted = this.#verdict.reason === 'Evicted' && this.#terminal
    const phase = evicted ? 'Failed' : phaseOf(this.spec, init, main, this.#terminal)
    const podIp = this.#sandbox?.network.podIp ?? ''
    return { phase, ...this.#verdict, podIp, initContainerStatuses: init, containerStatuses: main }
  }

  container(name: string): Container {
    const found = this.#containers.find(({ spec }) => spec.name === name)
    if (found === undefined) throw new Error(`pod ${this.name} has no container ${name}`)
    return found
  }

  /** The host's pid of the container's first process. */
  pidOf(container: string): number {
    return this.container(container).pid
  }

  /** The host's pid of the pause process, PID 1 of the pod when it shares its PID namespace. */
  get podPid(): number {
    if (this.#sandbox === undefined) throw new Error(`pod ${this.name} has no sandbox`)
    return this.#sandbox.pid
  }

  /** The host's folder of a volume of the pod (of one in memory: seen through the sandbox). */
  volumeFolder(name: string): string {
    const volume = (this.spec.volumes ?? []).find((candidate) => candidate.name === name)
    if (volume === undefined) throw new Error(`pod ${this.name} has no volume ${name}`)
    const identity = { ...this.#input.identity, podIp: '', hostIp: '' }
    const prepared = prepareVolume(volume, this.#dir, this.spec, identity, this.#input.sources)
    return prepared.mounts.length > 0
      ? join(this.#sandbox?.mountView ?? '', prepared.source)
      : prepared.source
  }

  /** Everything a container has written to stdout and stderr so far, over all its attempts. */
  logs(container: string): string {
    return readLog(join(this.#logDir, container)).text
  }

  /** The same as complete lines, with the moment at which each was written. */
  logLines(container: string): LogLine[] {
    return readLog(join(this.#logDir, container)).lines
  }

  /** Everything of it but its logs is gone: nothing more will happen to it. */
  get hasEnded(): boolean {
    return this.#terminal
  }

  /** Looks until it gets something. @throws Error with all that is known, at the deadline or once the pod has ended without it */
  async awaits<T>(what: string, deadlineMs: number, look: () => T | undefined): Promise<T> {
    return poll(
      `${this.name}: ${what}`,
      deadlineMs,
      () => {
        // Asked first: what was written before the end is there to be seen after it.
        const hasEnded = this.#terminal
        const seen = look()
        if (seen === undefined && hasEnded)
          throw new Error(`${this.name} has ended without ${what}\n${this.describe()}`)
        return seen
      },
      () => this.describe(),
    )
  }

  /** Waits for the `nth` (from 1) log line that matches. */
  async waitForLog(
    container: string,
    pattern: RegExp,
    options: { deadlineMs?: number; nth?: number } = {},
  ): Promise<LogLine> {
    const nth = options.nth ?? 1
    const line = await this.awaits(
      `line ${nth} of ${container} that matches ${pattern}`,
      options.deadlineMs ?? defaultDeadlineMs,
      () => this.logLines(container).filter(({ text }) => pattern.test(text))[nth - 1],
    )
    await this.container(container).starting // it may write before runc has told that it runs
    return line
  }

  async waitFor(
    what: string,
    holds: (status: PodStatus) => boolean,
    deadlineMs = defaultDeadlineMs,
  ): Promise<PodStatus> {
    return this.awaits(what, deadlineMs, () => {
      const status = this.status()
      return holds(status) ? status : undefined
    })
  }

  /** Resolves once all main containers run and are ready. */
  waitUntilReady(deadlineMs = defaultDeadlineMs): Promise<PodStatus> {
    return this.waitFor(
      'all containers ready',
      (status) => status.containerStatuses.every(({ ready }) => ready),
      deadlineMs,
    )
  }

  /** Resolves once the pod has ended by itself. @throws Error with all that is known at the deadline */
  async waitUntilEnded(deadlineMs = defaultDeadlineMs): Promise<PodStatus> {
    const status = await within(this.ended, deadlineMs * slowness)
    if (status === undefined)
      throw new Error(`pod ${this.name} has not ended after ${deadlineMs * slowness} ms\n${this.describe()}`)
    return status
  }

  exec(
    container: string,
    argv: string[],
    options: { deadlineMs?: number; input?: string } = {},
  ): Promise<CommandResult> {
    return this.container(container).exec(argv, options)
  }

  /** A signal to a container's first process, from outside the pod. */
  killContainer(container: string, signal: NodeJS.Signals = 'SIGKILL'): void {
    this.container(container).signal(signal)
  }

  /** For failure messages: status, events and the end of every log. */
  describe(): string {
    const events = this.events.map(({ reason, message }) => `  ${reason}: ${message}`)
    const logs = this.#containers.map(({ spec }) => `-- ${spec.name}\n${this.logs(spec.name).slice(-4000)}`)
    return [`pod ${this.name}: ${JSON.stringify(this.status())}`, ...events, ...logs].join('\n')
  }
}
