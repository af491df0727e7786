/** A memory cgroup, version 2, of a test's own, with the programs that it starts in it. For the guest. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { compile } from '../../../harness/native.ts'
import { MemoryCgroup } from '../../../../sidecar/triggers/memory/memory-cgroup.ts'

const root = '/sys/fs/cgroup'
export const mebibyte = 1024 ** 2

export type TestCgroup = {
  readonly cgroup: MemoryCgroup
  /** Where the tripwire keeps its record. */
  readonly recordFile: string
  set(file: string, value: number | string): void
  read(file: string): string
  event(name: string): number
  start(argv: readonly string[]): Program
}

export type Program = {
  readonly child: ChildProcess
  readonly lines: string[]
  /** Its exit code, or 128 and its signal as a shell gives it. */
  readonly ended: Promise<number>
}

export function testCgroup(t: Test, limitMiB: number | 'max'): TestCgroup {
  writeFileSync(join(root, 'cgroup.subtree_control'), '+memory')
  const scratch = mkdtempSync('/var/tmp/reprieve-cgroup-')
  const folder = join(root, scratch.slice(scratch.lastIndexOf('/') + 1))
  mkdirSync(folder)
  const set = (file: string, value: number | string) => writeFileSync(join(folder, file), String(value))
  const read = (file: string) => readFileSync(join(folder, file), 'utf8').trim()
  set('memory.max', limitMiB === 'max' ? 'max' : limitMiB * mebibyte)
  const programs: Program[] = []
  t.teardown(async () => {
    set('cgroup.kill', 1)
    await Promise.all(programs.map(({ ended }) => ended))
    rmdirSync(folder)
    rmSync(scratch, { recursive: true })
  })
  return {
    cgroup: new MemoryCgroup(2, folder),
    recordFile: join(scratch, 'throttle'),
    set,
    read,
    event: (name) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(read('memory.events'))?.[1]),
    start: (argv) => {
      const script = 'echo $$ >"$0/cgroup.procs" && exec "$@"'
      const child = spawn('sh', ['-c', script, folder, ...argv], { stdio: ['pipe', 'pipe', 'inherit'] })
      const lines: string[] = []
      let rest = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        const parts = (rest + text).split('\n')
        rest = parts.pop() ?? ''
        lines.push(...parts)
      })
      const ended = new Promise<number>((resolve) =>
        child.on('close', (code, signal) => resolve(code ?? (signal === 'SIGKILL' ? 137 : 128))),
      )
      const program = { child, lines, ended }
      programs.push(program)
      return program
    },
  }
}

/** A program of test/programs, compiled. */
export function programOf(name: string): Promise<string> {
  return compile(join(import.meta.dirname, '../../../programs', name))
}
