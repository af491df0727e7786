/**
 * Terminals whose foreground group has ended. A shell gives the terminal to the command that it starts, and takes it back when the command has
 * ended; a dump in between finds the number of a group that is no more. CRIU sets what it has found, and the kernel knows no such group
 * (`tty: Failed to set group N: No such process`): the whole restore fails. The shell's own group gets the terminal then, which
 * is what the shell is about to do itself.
 */
import { readFile } from 'node:fs/promises'
import { exists } from '../../src/exists.ts'
import { entriesOf, rewriteEntries, withEntriesChanged } from '../criu/image-entries.ts'
import { encodeNumber, fieldsOf, withChanged } from '../criu/protobuf.ts'

/** images/pstree.proto: pstree_entry. */
const process = { group: 3, session: 4 } as const
/** images/tty.proto: tty_info_entry. A session leads its own group. */
const terminal = { session: 6, group: 7 } as const

/**
 * @returns how many terminals get another group
 * @throws Error where an image cannot be read or written
 */
export async function fitTerminals(imagesFolder: string): Promise<number> {
  const file = `${imagesFolder}/tty-info.img`
  if (!(await exists(file))) return 0
  const groups = groupsIn(await readFile(`${imagesFolder}/pstree.img`))
  return rewriteEntries(file, (image) => withLivingGroups(image, groups))
}

/** The groups of each session. */
export function groupsIn(image: Buffer): Map<number, Set<number>> {
  const groups = new Map<number, Set<number>>()
  for (const entry of entriesOf(image, 'processes')) {
    const fields = fieldsOf(entry)
    const of = (which: number) => fields.find(({ number }) => number === which)?.value ?? 0
    const session = groups.get(of(process.session)) ?? new Set()
    groups.set(of(process.session), session.add(of(process.group)))
  }
  return groups
}

export function withLivingGroups(
  image: Buffer,
  groups: ReadonlyMap<number, ReadonlySet<number>>,
): { image: Buffer; changed: number } | undefined {
  const change = (entry: Buffer) => {
    const session = fieldsOf(entry).find(({ number }) => number === terminal.session)?.value ?? 0
    const living = groups.get(session)
    if (living === undefined) return undefined
    return withChanged(entry, terminal.group, ({ value }) =>
      living.has(value) ? undefined : encodeNumber(terminal.group, session),
    )
  }
  return withEntriesChanged(image, change, 'terminals')
}
