/** What `make programs` found, in results.json: the table of docs/usage.md is made of it. */
import { readFileSync, writeFileSync } from 'node:fs'
import { release } from 'node:os'
import { join } from 'node:path'
import { must } from '../../../scripts/command.ts'
import type { Image } from '../../harness/image.ts'
import type { Outcome } from './generations.ts'
import type { RealProgram } from './program.ts'

export type Result = {
  name: string
  about: string
  version: string
  outcome: Outcome['outcome']
  why?: string
}
export type Results = { date: string; reprieve: string; kernel: string; programs: Result[] }

const path = join(import.meta.dirname, 'results.json')

export function readResults(): Results {
  return JSON.parse(readFileSync(path, 'utf8')) as Results
}

/** Adds to what is known, or brings it up to date. */
export async function recordResults(
  image: Image,
  programs: readonly RealProgram[],
  outcomes: ReadonlyMap<string, Outcome>,
): Promise<void> {
  const old = readResults()
  const { version } = JSON.parse(
    readFileSync(join(import.meta.dirname, '../../../package.json'), 'utf8'),
  ) as {
    version: string
  }
  const fresh = await Promise.all(
    programs.map(async ({ name, about, packages }): Promise<Result> => {
      const outcome = outcomes.get(name)
      const why =
        outcome?.outcome === 'refused'
          ? outcome.reason
          : outcome?.outcome === 'lost'
            ? outcome.how
            : undefined
      return {
        name,
        about,
        version: await versionOf(image, packages[0] ?? ''),
        outcome: outcome?.outcome ?? 'lost',
        ...(why === undefined ? {} : { why }),
      }
    }),
  )
  const kept = old.programs.filter(({ name }) => !outcomes.has(name))
  const results: Results = {
    date: new Date().toISOString().slice(0, 10),
    reprieve: version,
    kernel: release(),
    programs: [...kept, ...fresh],
  }
  writeFileSync(path, `${JSON.stringify(results, undefined, 2)}\n`)
}

async function versionOf(image: Image, name: string): Promise<string> {
  const root = image.layers[0] ?? '/'
  return (
    await must(['dpkg-query', `--admindir=${root}/var/lib/dpkg`, '-W', '-f', '${Version}', name])
  ).trim()
}
