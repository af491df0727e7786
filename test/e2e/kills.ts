/** Instants drawn at random over a measured duration, from a seed that is printed; and what holds after each kill. */
import { readdirSync } from 'node:fs'
import type { Test } from 'tap'
import { poll } from '../harness/deadline.ts'
import type { Pod } from '../harness/pod.ts'
import { soaking } from './support.ts'
import { frozenProcesses, goesOn, verifiedManifests, type SurvivorStage } from './survivor.ts'

/** How many kills of each kind. */
export const kills = soaking ? 100 : 6

/**
 * Nothing that has been killed may leave the application standing still for longer: by then its container, or its process, has been
 * started again on a machine that is busy with other tests.
 */
export const thawDeadlineMs = 60_000

/** Large enough that dump, archive and store each take a while. */
export const large = { mebibytes: 96 } as const

/** REPRIEVE_SEED repeats a run. The generator is mulberry32. */
export function drawn(t: Test): () => number {
  const seed = Number(process.env.REPRIEVE_SEED ?? Date.now() % 2 ** 31)
  t.comment(`REPRIEVE_SEED=${seed}`)
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export type Kept = {
  /** The last checkpoint that was reported as taken. */
  taken: string | undefined
  held: number
}

/** The application goes on, nothing of it stands still, and every byte of what the store lists is right. */
export async function requireAlive(stage: SurvivorStage, pod: Pod, kept: Kept): Promise<void> {
  await requireThawed(pod)
  await goesOn(pod)
  await requireStore(stage, kept)
}

export async function requireThawed(pod: Pod): Promise<void> {
  await poll(
    `the processes of ${pod.name} to be let go`,
    thawDeadlineMs,
    () => (frozenProcesses(pod).length === 0 ? true : undefined),
    () => pod.describe(),
  )
}

/** @returns the newest id; never older than what was reported as taken */
export async function requireStore(stage: SurvivorStage, { taken }: Kept): Promise<string | undefined> {
  const newest = (await verifiedManifests(stage))[0]?.id
  if (taken !== undefined && (newest === undefined || newest < taken))
    throw new Error(`${taken} was reported as taken, and the newest in the store is ${newest ?? 'none'}`)
  return newest
}

/** What lies in the pod's staging volume. */
export function staged(pod: Pod): string[] {
  return readdirSync(pod.volumeFolder('reprieve-staging'), { recursive: true, encoding: 'utf8' })
}
