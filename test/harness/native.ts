/** The two small C programs of the harness, compiled once into the cache (keyed by their source). */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { must } from './command.ts'

export const cacheDir = process.env.REPRIEVE_CACHE ?? '/var/cache/reprieve'

/** Compiles one C file statically with musl; returns the program's path. Safe to call from several processes at once. */
export async function compile(source: string, name: string, flags: string[] = ['-static']): Promise<string> {
  const hash = createHash('sha256')
    .update(readFileSync(source))
    .update(flags.join(' '))
    .digest('hex')
    .slice(0, 16)
  const program = join(cacheDir, 'programs', `${name}-${hash}`)
  if (existsSync(program)) return program
  mkdirSync(join(cacheDir, 'programs'), { recursive: true })
  const unfinished = `${program}.${process.pid}`
  await must(['musl-gcc', '-O2', '-Wall', '-Wextra', '-Werror', ...flags, '-o', unfinished, source])
  renameSync(unfinished, program)
  return program
}

export async function nativePrograms(): Promise<{ shim: string; pause: string }> {
  const source = (name: string) => join(import.meta.dirname, 'native', `${name}.c`)
  return {
    shim: await compile(source('shim'), 'pod-shim'),
    pause: await compile(source('pause'), 'pod-pause'),
  }
}
