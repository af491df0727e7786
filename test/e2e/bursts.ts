/** The bursts that `make soak` repeats a hundred times each, and what each of them is like. Pure, but for the lanes. */

export type Burst = { run: number; limitMiB: number; threads: number; mebibytes: number }

const all = 100
/** Small ones come often, since they are quick; the largest lie far enough apart that two never run beside each other. */
const limitsMiB = [128, 256, 128, 512, 192, 1024, 128, 384]

/** Each limit with four threads and with one; a quarter more than the limit is filled. */
export function burst(run: number): Burst {
  const limitMiB = limitsMiB[run % limitsMiB.length] ?? 128
  const threads = Math.floor(run / limitsMiB.length) % 2 === 0 ? 4 : 1
  return { run, limitMiB, threads, mebibytes: Math.ceil(limitMiB * 1.25) }
}

/**
 * REPRIEVE_BURSTS=20-29 names some of the hundred, for a machine that has no hour in one piece; else all of them with
 * REPRIEVE_SOAK=1, and one without.
 * @throws Error for what names none
 */
export function chosenBursts(environment: Record<string, string | undefined>): Burst[] {
  const named = environment.REPRIEVE_BURSTS
  if (!named) return firstBursts(environment.REPRIEVE_SOAK === '1' ? all : 1)
  const [, from, to] = /^(\d+)-(\d+)$/.exec(named) ?? []
  const [first, last] = [Number(from), Number(to)]
  if (from === undefined || first > last || last >= all)
    throw new Error(`REPRIEVE_BURSTS=${named} is no range within 0-${all - 1}, such as 20-29`)
  return firstBursts(last + 1).slice(first)
}

const firstBursts = (count: number): Burst[] => Array.from({ length: count }, (_, run) => burst(run))

/** In order, at most two at a time: as many as the guest has processors. */
export async function twoAtATime<Item>(items: Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const left = [...items]
  const lane = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item)
  }
  await Promise.all([lane(), lane()])
}
