/** The pod sandbox: pause process, namespaces, network and /dev/shm (containerd's RunPodSandbox). */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cgroupFolders, removeCgroup } from './cgroup.ts'
import { within } from './deadline.ts'
import { connectPod, type PodNetwork } from './network.ts'
import { sandboxSpec } from './oci-spec.ts'
import { Runc } from './runc.ts'
import { startShim, type Shim } from './shim.ts'

export type SandboxInput = {
  runc: Runc
  programs: { shim: string; pause: string }
  podDir: string
  cgroupPath: string
  uid: string
  hostname: string
  sysctls: Record<string, string>
  /** tmpfs volumes, made in the sandbox's mount namespace, where all its containers see them. */
  mounts: string[]
}

export class Sandbox {
  readonly pid: number
  readonly shimPid: number
  readonly network: PodNetwork
  /** The sandbox's 64 MiB tmpfs that is every container's /dev/shm. */
  readonly shm: string
  readonly #input: SandboxInput
  readonly #shim: Shim
  readonly #id: string

  private constructor(input: SandboxInput, shim: Shim, network: PodNetwork, id: string, shm: string) {
    this.#input = input
    this.#shim = shim
    this.#id = id
    this.pid = shim.pid
    this.shimPid = shim.shimPid
    this.network = network
    this.shm = shm
  }

  static async start(input: SandboxInput): Promise<Sandbox> {
    const bundle = join(input.podDir, 'sandbox')
    const [rootfs, shm] = [join(bundle, 'rootfs'), join(bundle, 'shm')]
    for (const folder of [rootfs, shm]) mkdirSync(folder, { recursive: true })
    copyFileSync(input.programs.pause, join(rootfs, 'pause'))
    const id = `sandbox-${input.uid}`
    const cgroupPath = `${input.cgroupPath}/pause`
    const spec = sandboxSpec({
      pause: '/pause',
      rootfs,
      hostname: input.hostname,
      cgroupPath,
      sysctls: input.sysctls,
    })
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(spec))
    const pidFile = join(bundle, 'pid')
    const shim = await startShim({
      program: input.programs.shim,
      log: join(bundle, 'pause.log'),
      pidFile,
      procsFiles: cgroupFolders(cgroupPath).slice(0, 1).map((folder) => join(folder, 'cgroup.procs')),
      mounts: [`shm|${shm}|mode=1777,size=65536k`, ...input.mounts],
      command: input.runc.createCommand(id, bundle, pidFile),
    }) // prettier-ignore
    try {
      const network = await connectPod(shim.pid, input.uid)
      await input.runc.start(id, bundle)
      return new Sandbox(input, shim, network, id, shm)
    } catch (error) {
      shim.abandon()
      await shim.exited
      await input.runc.delete(id, bundle)
      await removeCgroup(cgroupPath)
      throw error
    }
  }

  namespace(kind: 'pid' | 'net' | 'ipc' | 'uts'): string {
    return `/proc/${this.pid}/ns/${kind}`
  }

  /** A path through which the sandbox's own mounts are seen from the machine. */
  get mountView(): string {
    return `/proc/${this.shimPid}/root`
  }

  /** SIGKILL to PID 1 of the pod: with a shared PID namespace the kernel ends every process of the pod with it. */
  kill(): void {
    this.#shim.abandon()
  }

  /** StopPodSandbox and RemovePodSandbox. */
  async stop(): Promise<void> {
    this.kill()
    if ((await within(this.#shim.exited, 60_000)) === undefined)
      throw new Error(`pause ${this.pid} does not end`)
    await this.#input.runc.delete(this.#id, join(this.#input.podDir, 'sandbox'))
    await removeCgroup(this.#input.cgroupPath)
  }
}
