/**
 * A virtual machine with Debian's cloud kernel (cgroup v2 only, PSI, soft-dirty, every capability), in which the pod harness and
 * its tests run as they do here: same files, same images, same Node. No KVM is needed.
 *
 *   make test-vm                                            what `make test` leaves out as well (test/vm/files.ts)
 *   make test-vm FILES="test/e2e/eviction.test.ts …"        these, in one guest, as ordinary test results
 *   node test/vm/main.ts test/e2e/eviction.test.ts          the same with everything printed as it comes, for work on a test
 *   node test/vm/main.ts -- sh -c 'cat /proc/self/cgroup'   any command, in the repository's copy inside the guest
 *
 * REPRIEVE_VM_ACCEL=tcg|kvm, REPRIEVE_VM_CPUS and REPRIEVE_VM_MEMORY_MIB choose the machine (command-line.ts); all other variables
 * that begin with REPRIEVE_ reach the guest. A test whose file ends in `.vm.test.ts` needs the guest: it runs nowhere else.
 *
 *   const machine = await Machine.boot()
 *   const run = machine.run(['node', 'test/x.test.ts'], { deadlineMs })    // one at a time
 *   run.stdout                                                             // a stream
 *   await run.ended                                                        // { code, timedOut, wallMs }, or throws: the guest died
 *   await machine.end()
 *
 * What the guest writes to its disk is thrown away with it. A guest that hangs, panics or dies is killed at a deadline, and the
 * error ends with what its console said last.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { PassThrough, type Readable, type Writable } from 'node:stream'
import { within } from '../harness/deadline.ts'
import { commandLine, machineOptions, type MachineFiles, type MachineOptions } from './command-line.ts'
import { encode, parseReport, type Report } from './frames.ts'
import { writePayload } from './payload.ts'
import { qemu, type Emulator } from './qemu.ts'
import { makeMachineFolder } from './sweep.ts'
import { guestSystem } from './system.ts'

/** An emulated machine is up after ten seconds; one that shares its processors with others takes its time. */
const bootDeadlineMs = 300_000
/** What the guest is given beyond a command's own deadline before it counts as hung, and to power off. */
const patienceMs = 120_000
const consoleTailBytes = 4_000

export type RunResult = { code: number; timedOut: boolean; wallMs: number }

/** The streams end with the command, or with the guest. */
export type GuestRun = { stdout: Readable; stderr: Readable; ended: Promise<RunResult> }

type Ready = Extract<Report, { kind: 'ready' }>
type Current = { stdout: PassThrough; stderr: PassThrough; ended: PromiseWithResolvers<RunResult> }

export class Machine {
  readonly options: MachineOptions
  /** From the start of QEMU to the guest's first word. */
  bootMs = 0
  kernel = ''
  readonly #qemu: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #console: string
  readonly #ready = Promise.withResolvers<Ready>()
  /** Resolves with why, once QEMU has ended. */
  readonly #gone = Promise.withResolvers<string>()
  #complaints = ''
  #current: Current | undefined

  private constructor(emulator: Emulator, options: MachineOptions, files: MachineFiles) {
    this.options = options
    this.#console = files.console
    // Should this process be killed, then not leave a guest behind.
    const argv = ['--pdeathsig', 'KILL', '--', ...emulator.argv, ...commandLine(options, files)]
    const env = { ...process.env, ...emulator.environment }
    this.#qemu = spawn('setpriv', argv, { stdio: ['pipe', 'pipe', 'pipe'], env })
    this.#qemu.stdin.on('error', () => undefined) // what became of the guest is told by its end
    this.#qemu.stderr.setEncoding('utf8').on('data', (text: string) => (this.#complaints += text))
    createInterface({ input: this.#qemu.stdout }).on('line', (line) => this.#hear(line))
    this.#qemu.on('error', (error) => this.#gone.resolve(String(error)))
    this.#qemu.on('close', (code, signal) => this.#gone.resolve(`QEMU ended (${signal ?? code})`))
    void this.#gone.promise.then((why) => this.#fail(why))
    this.#ready.promise.catch(() => undefined)
  }

  /** @throws Error with the console's last words when the guest is not ready in time */
  static async boot(
    options: MachineOptions = machineOptions(process.env),
    deadlineMs = bootDeadlineMs,
  ): Promise<Machine> {
    const [emulator, system] = await Promise.all([qemu(), guestSystem()])
    const folder = makeMachineFolder()
    const remove = () => rmSync(folder, { recursive: true, force: true })
    try {
      const payload = join(folder, 'payload.tar')
      await writePayload(payload)
      const startedMs = performance.now()
      const machine = new Machine(emulator, options, { ...system, payload, console: join(folder, 'console') })
      void machine.#gone.promise.then(remove)
      const ready = await within(machine.#ready.promise, deadlineMs)
      if (ready === undefined) throw await machine.#giveUp(`the guest was not ready after ${deadlineMs} ms`)
      machine.bootMs = Math.round(performance.now() - startedMs)
      machine.kernel = ready.kernel
      return machine
    } catch (error) {
      remove()
      throw error
    }
  }

  /**
   * Runs a command in the guest's copy of the repository, one at a time.
   * @param environment added to the guest's own
   */
  run(argv: string[], options: { deadlineMs: number; environment?: Record<string, string> }): GuestRun {
    if (this.#current !== undefined) throw new Error('the guest runs one command at a time')
    const current: Current = {
      stdout: new PassThrough(),
      stderr: new PassThrough(),
      ended: Promise.withResolvers<RunResult>(),
    }
    this.#current = current
    const { deadlineMs, environment = {} } = options
    this.#qemu.stdin.write(encode({ kind: 'run', argv, environment, deadlineMs }))
    const ended = this.#until(current, deadlineMs + patienceMs)
    ended.catch(() => undefined) // whoever reads the streams first asks for it late
    return { stdout: current.stdout, stderr: current.stderr, ended }
  }

  async #until(current: Current, deadlineMs: number): Promise<RunResult> {
    const result = await within(current.ended.promise, deadlineMs)
    if (result !== undefined) return result
    throw await this.#giveUp(`the guest said nothing of the command's end for ${deadlineMs} ms`)
  }

  /** Powers the guest off; a power cut where it does not go, or still runs a command. */
  async end(): Promise<void> {
    this.#qemu.stdin.end() // the port closes, and the agent ends
    if (this.#current !== undefined) this.kill() // whose output nobody takes any more, so it may never end
    if ((await within(this.#gone.promise, patienceMs)) === undefined) this.#qemu.kill('SIGKILL')
    await this.#gone.promise
  }

  /** A power cut. */
  kill(): void {
    this.#qemu.kill('SIGKILL')
  }

  #hear(line: string): void {
    let report: Report
    try {
      report = parseReport(line)
    } catch (error) {
      this.#complaints += `${String(error)}\n`
      this.kill()
      return
    }
    if (report.kind === 'ready') this.#ready.resolve(report)
    else if (report.kind === 'output') this.#current?.[report.stream].write(report.text)
    else this.#settle((current) => current.ended.resolve(report))
  }

  #settle(how: (current: Current) => void): void {
    const current = this.#current
    if (current === undefined) return
    this.#current = undefined
    current.stdout.end()
    current.stderr.end()
    how(current)
  }

  #fail(why: string): void {
    const error = this.#error(why)
    this.#ready.reject(error)
    this.#settle((current) => current.ended.reject(error))
  }

  async #giveUp(why: string): Promise<Error> {
    const error = this.#error(why)
    this.kill()
    await this.#gone.promise
    return error
  }

  #error(why: string): Error {
    const said = existsSync(this.#console) ? readFileSync(this.#console, 'utf8').slice(-consoleTailBytes) : ''
    const complaints = this.#complaints.trim()
    return new Error(
      [why, complaints && `QEMU: ${complaints}`, `the guest's console:\n${said || '(nothing)'}`]
        .filter(Boolean)
        .join('\n'),
    )
  }
}
