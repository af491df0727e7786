/** runc, with its state in the node's own folder. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { must, run, type CommandResult } from '../../scripts/command.ts'

export class Runc {
  readonly #root: string

  constructor(nodeDir: string) {
    this.#root = join(nodeDir, 'runc')
  }

  #argv(log: string, ...rest: string[]): string[] {
    return ['runc', '--root', this.#root, '--log', log, '--log-format', 'json', ...rest]
  }

  /** The command that a shim runs: it ends once the container waits for `start`. */
  createCommand(id: string, bundle: string, pidFile: string): string[] {
    return this.#argv(join(bundle, 'runc.log'), 'create', '--bundle', bundle, '--pid-file', pidFile, id)
  }

  async start(id: string, bundle: string): Promise<void> {
    await must(this.#argv(join(bundle, 'runc.log'), 'start', id))
  }

  /** As CRI's ExecSync: runs in the container's namespaces and cgroup, with its user, environment and capabilities. */
  exec(
    id: string,
    bundle: string,
    argv: string[],
    options: { deadlineMs?: number; input?: string } = {},
  ): Promise<CommandResult> {
    return run(this.#argv(join(bundle, 'exec.log'), 'exec', id, ...argv), options)
  }

  /** As CRI's UpdateContainerResources, for the memory limit. */
  async updateMemory(id: string, bundle: string, limitBytes: number): Promise<void> {
    await must(this.#argv(join(bundle, 'runc.log'), 'update', '--memory', String(limitBytes), id))
  }

  async delete(id: string, bundle: string): Promise<void> {
    await run(this.#argv(join(bundle, 'runc.log'), 'delete', '--force', id))
  }

  /** What runc said last about a container: its reasons are only there. */
  lastWords(bundle: string): string {
    const file = join(bundle, 'runc.log')
    if (!existsSync(file)) return ''
    const lines = readFileSync(file, 'utf8').trim().split('\n').filter(Boolean)
    const said = lines.map((line) => JSON.parse(line) as { level: string; msg: string })
    return said.filter(({ level }) => level === 'error').map(({ msg }) => msg).join('; ') // prettier-ignore
  }
}
