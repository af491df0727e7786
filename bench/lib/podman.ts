/**
 * The peer of the whole cycle: Debian's podman and crun with the CRIU that Reprieve's image has, in a root of their own with a
 * mount namespace of its own, so that nothing is installed on the machine and every mount goes with the one process that
 * holds the namespace.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { must } from '../../scripts/command.ts'
import { baseSuite, debianRootfs } from '../../scripts/rootfs.ts'
import { removeCgroup } from '../../test/harness/cgroup.ts'
import { poll } from '../../test/harness/deadline.ts'
import { beatsIn, type Beat } from './beats.ts'
import { clearAtEnd } from './report.ts'
import { beatMs, holdProgram, program } from './stage.ts'

/** crun loads libcriu, which Debian does not make it depend on. */
const packages = ['podman', 'crun', 'libcriu2']
const criu = join(import.meta.dirname, '../../scripts/install-criu.sh')
const deadlineMs = 300_000
const name = 'hold'

/**
 * What lies where: the cached root below, all that podman writes on the benchmark's disk. crun refuses a hybrid of both cgroup
 * versions, so a second hierarchy beside version 1 is taken out of its sight.
 */
const enterScript = `
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
mount -t proc proc "$2/root/proc"
mount --rbind /sys "$2/root/sys"
mount --rbind /dev "$2/root/dev"
mount -t tmpfs tmpfs "$2/root/run"
mount --bind "$2/data" "$2/root/data"
if mountpoint -q "$2/root/sys/fs/cgroup/unified"; then umount -l "$2/root/sys/fs/cgroup/unified"; fi
cd "$2/root"
pivot_root . mnt
umount -l /mnt
: > /run/ready
exec sleep infinity
`

/**
 * Everything podman starts lives below this cgroup in every hierarchy. In one that crun does not know of (the unified one of a
 * hybrid machine) a container stays where its starter is, and CRIU dumps and makes anew all that lies below: from the
 * machine's root each cycle doubled the number of its cgroups.
 */
const cgroup = `reprieve-bench-podman-${process.pid}`
const enterCgroup = `
unified=/sys/fs/cgroup/unified
if [ -e "$unified/cgroup.procs" ]; then mkdir -p "$unified/$0"; echo $$ >"$unified/$0/cgroup.procs"; fi
exec "$@"
`

/** Where `data` is seen inside. */
const inside = '/data'

export class Podman {
  readonly #holder: ChildProcess
  readonly #data: string

  private constructor(holder: ChildProcess, data: string) {
    this.#holder = holder
    this.#data = data
  }

  /** @param folder an empty one, on the disk that the other side uses, too */
  static async open(folder: string): Promise<Podman> {
    const root = await debianRootfs('podman', baseSuite, packages, criu)
    for (const below of ['upper', 'work', 'root', 'data', 'upper/data', 'data/image/app'])
      mkdirSync(join(folder, below), { recursive: true })
    const argv = ['--mount', 'sh', '-euc', enterScript, 'sh', root, folder]
    const holder = spawn('unshare', argv, { stdio: ['ignore', 'ignore', 'inherit'] })
    const podman = new Podman(holder, join(folder, 'data'))
    clearAtEnd(() => podman.close())
    try {
      const ready = `/proc/${holder.pid}/root/run/ready`
      await poll(
        'podman’s root',
        20_000,
        () => existsSync(ready) || undefined,
        () => `exit ${holder.exitCode}`,
      )
      copyFileSync(await holdProgram(), join(folder, 'data/image', program))
      await podman.#inside('tar', '-C', `${inside}/image`, '-cf', `${inside}/image.tar`, '.')
      await podman.#podman('import', '--quiet', `${inside}/image.tar`, 'bench')
      return podman
    } catch (error) {
      await podman.close()
      throw error
    }
  }

  async versions(): Promise<Record<string, string>> {
    const first = async (...argv: string[]) => (await this.#inside(...argv)).split('\n')[0] ?? ''
    return {
      podman: await first('podman', '--version'),
      crun: await first('crun', '--version'),
      criu: await first('criu', '--version'),
    }
  }

  /** Starts the program; resolves once it beats. On the host's network, so that no firewall rules are saved and loaded. */
  async run(mebibytes: number): Promise<void> {
    const argv = [program, String(mebibytes), String(beatMs)]
    await this.#podman(
      'run',
      '--detach',
      '--name',
      name,
      '--network=host',
      `--cgroup-parent=/${cgroup}`,
      '--log-driver=k8s-file',
      'bench',
      ...argv,
    )
    const beats = async () => (await this.#beats()).at(0)
    await poll('the first beat', deadlineMs, beats, () => 'it does not beat')
  }

  /**
   * `container checkpoint --export` and `container restore --import`. The container is removed in between, outside the time
   * that counts: a replacement elsewhere would not wait for it.
   * @param compress podman's own word; its default unless it is given
   */
  async cycle(compress?: string): Promise<{ exportMs: number; importMs: number; exportBytes: number }> {
    const file = 'exported.tar'
    const began = Date.now()
    const how = compress === undefined ? [] : [`--compress=${compress}`]
    await this.#podman('container', 'checkpoint', ...how, '--export', `${inside}/${file}`, name)
    const exported = Date.now()
    await this.#podman('rm', name)
    const restoring = Date.now()
    await this.#podman('container', 'restore', '--import', `${inside}/${file}`)
    const isNew = ({ timeMs }: Beat) => timeMs >= restoring
    const beats = async () => (await this.#beats()).find(isNew)
    const first = await poll('the first new beat', deadlineMs, beats, () => 'it does not beat')
    const exportBytes = statSync(join(this.#data, file)).size
    await this.#inside('rm', `${inside}/${file}`)
    return { exportMs: exported - began, importMs: first.timeMs - restoring, exportBytes }
  }

  async remove(): Promise<void> {
    await this.#podman('rm', '--all', '--force', '--time=0')
  }

  /** Ends the containers, and with the holder every mount. */
  async close(): Promise<void> {
    if (this.#holder.exitCode !== null || this.#holder.signalCode !== null) return
    await this.remove().catch(() => undefined)
    const gone = new Promise((resolve) => this.#holder.once('exit', resolve))
    if (this.#holder.kill('SIGKILL')) await gone
    await removeCgroup(cgroup)
  }

  async #beats(): Promise<Beat[]> {
    return beatsIn((await this.#podman('logs', '--tail=2000', name)).split('\n').map((text) => ({ text })))
  }

  #podman(...argv: string[]): Promise<string> {
    const where = ['--root', `${inside}/storage`, '--runroot', '/run/storage', '--storage-driver=overlay']
    const how = ['--runtime=crun', '--cgroup-manager=cgroupfs', '--events-backend=none']
    return this.#inside('podman', ...where, ...how, ...argv)
  }

  #inside(...argv: string[]): Promise<string> {
    const enter = [
      'sh',
      '-c',
      enterCgroup,
      cgroup,
      'nsenter',
      `--mount=/proc/${this.#holder.pid}/ns/mnt`,
      `--root=/proc/${this.#holder.pid}/root`,
    ]
    const environment = [
      'env',
      '-i',
      'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
      'PODMAN_IGNORE_CGROUPSV1_WARNING=1',
    ]
    return must([...enter, ...environment, ...argv], { deadlineMs })
  }
}
