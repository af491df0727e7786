/** The two small C programs of the harness, compiled once into the cache (keyed by their source). */
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { cached, hashOf } from '../../scripts/cache.ts'
import { must } from '../../scripts/command.ts'

/** Compiles one C file with musl, statically unless `flags` say otherwise; returns the program's path. */
export async function compile(source: string, flags: string[] = ['-static']): Promise<string> {
  const name = basename(source, '.c')
  const recipe = hashOf('musl-gcc 1', flags.join(' '), readFileSync(source))
  const folder = await cached('programs', name, recipe, async (out) => {
    await must(['musl-gcc', '-O2', '-Wall', '-Wextra', '-Werror', ...flags, '-o', join(out, name), source])
  })
  return join(folder, name)
}

const source = (name: string) => join(import.meta.dirname, 'native', `${name}.c`)

export async function nativePrograms(): Promise<{ shim: string; pause: string }> {
  return { shim: await compile(source('shim')), pause: await compile(source('pause')) }
}
