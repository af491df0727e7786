/** `seccomp.img`: the filters of all threads (criu/seccomp.c). */
import { encodeMessage, encodeNumber } from '../criu/protobuf.ts'
import { fieldsIn, optionalNumber } from './strict-fields.ts'

/** `flags` are those of seccomp(2). */
export type Filter = { program: Buffer; flags: number }
/** The oldest first, as they are installed. All of them are asked at each system call, and the strictest answer counts. */
export type Chain = readonly Filter[]

/** images/seccomp.proto: seccomp_entry and seccomp_filter. `newer` is `prev` there: CRIU writes the newest first, and begins at the oldest. */
const entry = { filter: 1 } as const
const filter = { program: 1, newer: 2, flags: 3 } as const
/** linux/bpf_common.h: BPF_MAXINSNS, of 8 bytes. */
const mostBytes = 4096 * 8
/** Far less fit into the kernel's MAX_INSNS_PER_PATH, unless they are empty. */
const longestChain = 1000

/**
 * @param message of the image
 * @returns a reader of the chain that begins at an index
 * @throws Error for what CRIU does not write
 */
export function chainsIn(message: Buffer): (start: number) => Chain {
  const fields = fieldsIn(message)
  if (fields.some(({ number }) => number !== entry.filter)) throw new Error('it has an unknown field')
  const all = fields.map(({ bytes }) => filterIn(bytes))
  return (start) => {
    const chain: Filter[] = []
    for (let at: number | undefined = start; at !== undefined;) {
      const one: ReturnType<typeof filterIn> | undefined = all[at]
      if (one === undefined || chain.length === longestChain) throw new Error('a chain of filters has no end')
      chain.push(one)
      at = one.newer
    }
    return chain
  }
}

function filterIn(message: Buffer): Filter & { newer: number | undefined } {
  const fields = fieldsIn(message)
  const [program, ...others] = fields.filter(({ number }) => number === filter.program)
  const bytes = program?.bytes ?? Buffer.alloc(0)
  if (others.length > 0 || bytes.length === 0 || bytes.length % 8 !== 0 || bytes.length > mostBytes)
    throw new Error('a filter is no program')
  if (fields.some(({ number }) => number > filter.flags)) throw new Error('a filter has an unknown field')
  return {
    program: bytes,
    newer: optionalNumber(fields, filter.newer),
    flags: optionalNumber(fields, filter.flags) ?? 0,
  }
}

/** Adds chains to an image. What is there keeps its index; equal ends of new chains are kept once. */
export class AddedFilters {
  readonly #entries: Buffer[] = []
  readonly #known = new Map<string, number>()
  readonly #first: number

  constructor(message: Buffer) {
    this.#first = fieldsIn(message).length
  }

  /** @returns the index that the chain begins at; undefined for an empty one */
  add(chain: Chain): number | undefined {
    return chain.toReversed().reduce<number | undefined>((newer, one) => this.#add(one, newer), undefined)
  }

  #add({ program, flags }: Filter, newer: number | undefined): number {
    const key = `${newer} ${flags} ${program.toString('latin1')}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const index = this.#first + this.#entries.length
    const link = newer === undefined ? [] : [encodeNumber(filter.newer, newer)]
    const parts = [encodeMessage(filter.program, program), ...link, encodeNumber(filter.flags, flags)]
    this.#entries.push(encodeMessage(entry.filter, Buffer.concat(parts)))
    this.#known.set(key, index)
    return index
  }

  /** To be put behind the message. */
  bytes(): Buffer {
    return Buffer.concat(this.#entries)
  }
}
