/** One container of a pod, through all its attempts: created, started, hooked, probed, stopped, ended. */
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { cgroupFolders, cgroupProcesses, removeCgroup, wasOomKilled } from './cgroup.ts'
import type { CommandResult } from '../../scripts/command.ts'
import { within } from './deadline.ts'
import { runHandler, type HandlerTarget } from './handler.ts'
import type { ContainerSpec } from './manifest.ts'
import { ociSpec } from './oci-spec.ts'
import type { PodContext } from './pod-context.ts'
import { grantCapabilities, userOf } from './security.ts'
import { startShim, type Shim } from './shim.ts'
import type { ContainerKind, ContainerState, ContainerStatus } from './status.ts'

/** One run of the container's first process, in a writable layer of its own. */
type Attempt = {
  id: string
  bundle: string
  cgroupPath: string
  shim: Shim
  gone: PromiseWithResolvers<void>
}

export class Container {
  readonly spec: ContainerSpec
  readonly kind: ContainerKind
  state: ContainerState = { kind: 'waiting', reason: 'ContainerCreating', message: '' }
  lastState: ContainerState | undefined
  started = false
  ready = false
  /** How many attempts were begun. */
  attempts = 0
  readonly #pod: PodContext
  #attempt: Attempt | undefined

  constructor(pod: PodContext, spec: ContainerSpec, kind: ContainerKind) {
    this.#pod = pod
    this.spec = spec
    this.kind = kind
  }

  get status(): ContainerStatus {
    const { state, lastState, started, ready } = this
    return {
      name: this.spec.name,
      state,
      lastState,
      restartCount: Math.max(0, this.attempts - 1),
      started,
      ready,
    }
  }

  get running(): boolean {
    return this.state.kind === 'running'
  }

  /** The host's pid of the container's first process. */
  get pid(): number {
    if (this.state.kind !== 'running') throw new Error(`container ${this.spec.name} is not running`)
    return this.state.pid
  }

  get cgroupPath(): string {
    if (this.#attempt === undefined) throw new Error(`container ${this.spec.name} never ran`)
    return this.#attempt.cgroupPath
  }

  /** The host's folder of the latest attempt's writable layer. */
  get writableLayer(): string {
    if (this.#attempt === undefined) throw new Error(`container ${this.spec.name} never ran`)
    return join(this.#attempt.bundle, 'upper')
  }

  /** Resolves once the current attempt has ended and `state` says how. */
  get ended(): Promise<void> {
    return this.#attempt?.gone.promise ?? Promise.resolve()
  }

  processes(): number[] {
    return this.#attempt === undefined ? [] : cgroupProcesses(this.#attempt.cgroupPath)
  }

  wait(reason: string, message = ''): void {
    if (this.state.kind === 'terminated') this.lastState = this.state
    this.state = { kind: 'waiting', reason, message }
  }

  /** No further attempt comes: what counts is how the last one ended (ShouldContainerBeRestarted says no to a dying pod). */
  giveUp(): void {
    if (this.state.kind === 'waiting' && this.lastState !== undefined) this.state = this.lastState
  }

  /** Resolves when no attempt is just being started. */
  starting: Promise<void> = Promise.resolve()

  /** pkg/kubelet/kuberuntime/kuberuntime_container.go, startContainer. Failures end up in `state`, never thrown. */
  start(): Promise<void> {
    this.starting = this.#start()
    return this.starting
  }

  async #start(): Promise<void> {
    if (this.state.kind === 'terminated') this.lastState = this.state
    const number = this.attempts++
    this.started = this.ready = false
    const startedAtMs = Date.now()
    const previous = this.#attempt
    this.#attempt = undefined
    const bundle = join(this.#pod.dir, 'containers', this.spec.name, String(number))
    try {
      const attempt = await this.#create(number, bundle)
      this.#attempt = attempt
      await this.#pod.runc.start(attempt.id, bundle)
      this.state = { kind: 'running', startedAtMs, pid: attempt.shim.pid }
      this.#pod.event('Started', `Started container ${this.spec.name}`)
      void attempt.shim.exited.then((code) => this.#onExit(attempt, code, startedAtMs))
    } catch (error) {
      const message =
        this.#pod.runc.lastWords(bundle) || (error instanceof Error ? error.message : String(error))
      // containerd's StartContainer: exit code 128, reason StartError (internal/cri/server/container_start.go).
      this.#terminated(128, 'StartError', message, startedAtMs)
      await this.#discard(number, bundle)
    }
    // The kubelet keeps the last dead container for its log; the writable layer of the one before is of no more use.
    if (previous !== undefined) rmSync(previous.bundle, { recursive: true, force: true })
  }

  /** Removes an attempt that never got to run. */
  async #discard(number: number, bundle: string): Promise<void> {
    const attempt = this.#attempt as Attempt | undefined
    attempt?.shim.abandon()
    if (attempt !== undefined) await within(attempt.shim.exited, 60_000)
    await this.#pod.runc.delete(`${this.#pod.uid}-${this.spec.name}-${number}`, bundle)
    await removeCgroup(`${this.#pod.cgroupPath}/${this.spec.name}-${number}`)
    attempt?.gone.resolve()
  }

  /** Runs postStart; a container whose hook fails is killed (startContainer, step 4). */
  async postStart(): Promise<void> {
    const hook = this.spec.lifecycle?.postStart
    if (hook === undefined || !this.running) return
    const result = await runHandler(hook, this.target(), 60_000)
    if (result.ok) return
    this.#pod.event('FailedPostStartHook', result.message)
    await this.stop(this.#pod.gracePeriodSeconds)
  }

  async #create(number: number, bundle: string): Promise<Attempt> {
    const [pod, spec] = [this.#pod, this.spec]
    const image = pod.image(spec.image)
    const folders = ['upper', 'work', 'rootfs'].map((name) => join(bundle, name))
    for (const folder of folders) mkdirSync(folder, { recursive: true })
    const [upper = '', work = '', rootfs = ''] = folders
    const { capabilities, missing } = grantCapabilities(spec)
    if (missing.length > 0)
      pod.event(
        'Deviation',
        `container ${spec.name} goes without ${missing.join(' ')}: this machine does not have it`,
      )
    const environment = pod.environment(spec)
    const log = join(pod.logFolder(spec.name), `${number}.log`)
    const cgroupPath = `${pod.cgroupPath}/${spec.name}-${number}`
    const config = ociSpec({
      spec,
      pod: pod.spec,
      image,
      rootfs,
      cgroupPath,
      environment,
      user: userOf(spec, pod.spec, image),
      capabilities,
      binds: pod.binds(spec, this.#terminationMessage(bundle), environment),
      namespaces: pod.namespaces(),
      seccompDefault: pod.seccompDefault,
    })
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(config))
    const id = `${pod.uid}-${spec.name}-${number}`
    const pidFile = join(bundle, 'pid')
    const lower = image.layers.toReversed().join(':')
    const shim = await startShim({
      program: pod.programs.shim,
      log,
      pidFile,
      joinMountOf: pod.sandbox.shimPid,
      procsFiles: cgroupFolders(cgroupPath).slice(0, 1).map((folder) => join(folder, 'cgroup.procs')),
      mounts: [`overlay|${rootfs}|lowerdir=${lower},upperdir=${upper},workdir=${work}`],
      command: pod.runc.createCommand(id, bundle, pidFile),
    }) // prettier-ignore
    return { id, bundle, cgroupPath, shim, gone: Promise.withResolvers<void>() }
  }

  #terminationMessage(bundle: string): { source: string; target: string } {
    const source = join(bundle, 'termination-log')
    writeFileSync(source, '')
    chmodSync(source, 0o666) // whatever user the container runs as (kubelet, makeMounts)
    return { source, target: this.spec.terminationMessagePath ?? '/dev/termination-log' }
  }

  async #onExit(attempt: Attempt, code: number, startedAtMs: number): Promise<void> {
    const oom = wasOomKilled(attempt.cgroupPath)
    const message = readFileSync(join(attempt.bundle, 'termination-log'), 'utf8').slice(-4096)
    this.#terminated(code, oom ? 'OOMKilled' : code === 0 ? 'Completed' : 'Error', message, startedAtMs)
    try {
      await removeCgroup(attempt.cgroupPath)
      await this.#pod.runc.delete(attempt.id, attempt.bundle)
    } catch (error) {
      this.#pod.event('Failed', `clean-up of ${attempt.id}: ${String(error)}`)
    }
    attempt.gone.resolve()
  }

  #terminated(exitCode: number, reason: string, message: string, startedAtMs: number): void {
    this.started = this.ready = false
    this.state = { kind: 'terminated', exitCode, reason, message, startedAtMs, finishedAtMs: Date.now() }
    this.#pod.event('Exited', `container ${this.spec.name}: ${exitCode} ${reason}`)
  }

  exec(argv: string[], options: { deadlineMs?: number; input?: string } = {}): Promise<CommandResult> {
    if (this.#attempt === undefined) throw new Error(`container ${this.spec.name} never ran`)
    return this.#pod.runc.exec(this.#attempt.id, this.#attempt.bundle, argv, options)
  }

  /** The memory limit of the attempt that runs; the next one has the manifest's again. @throws Error as runc says it */
  async resize(limitBytes: number): Promise<void> {
    if (this.#attempt === undefined || !this.running)
      throw new Error(`container ${this.spec.name} is not running`)
    await this.#pod.runc.updateMemory(this.#attempt.id, this.#attempt.bundle, limitBytes)
  }

  target(): HandlerTarget {
    const exec = (argv: string[], deadlineMs: number) => this.exec(argv, { deadlineMs })
    return { spec: this.spec, podIp: this.#pod.sandbox.network.podIp, exec }
  }

  /** Only to the container's first process, as CRI's StopContainer does it. */
  signal(signal: NodeJS.Signals): void {
    if (this.state.kind !== 'running') return
    try {
      process.kill(this.state.pid, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }

  /** CRI's StopContainer: the image's stop signal or SIGTERM, then SIGKILL once `graceSeconds` have passed. */
  async stop(graceSeconds: number): Promise<void> {
    if (!this.running) return
    const { ended } = this
    const wanted = this.#pod.image(this.spec.image).config.stopSignal ?? 'SIGTERM'
    this.signal((wanted in constants.signals ? wanted : 'SIGTERM') as NodeJS.Signals)
    if ((await within(ended.then(() => true), graceSeconds * 1000)) === true) return // prettier-ignore
    this.signal('SIGKILL')
    if (
      (await within(
        ended.then(() => true),
        60_000,
      )) === undefined
    )
      // prettier-ignore
      throw new Error(`container ${this.spec.name} survived SIGKILL`)
  }
}
