/** The regular files of a dump's `files.img`: who may write to them, and what CRIU compares before it opens them. */
import { readFile } from 'node:fs/promises'
import { fileEntriesOf, rewriteFilesImage, withEntriesChanged } from './image-entries.ts'
import { encodeMessage, fieldsOf, type Field } from './protobuf.ts'

/** images/fdinfo.proto: how an entry of a regular file begins, file_entry.type being REG, and file_entry.reg. */
const regularType = Buffer.from([8, 1])
const regularField = 3
/** images/regfile.proto */
const number = { flags: 2, name: 6, size: 8, mode: 10, buildId: 11 } as const
/** fcntl.h: O_ACCMODE, of which 0 is O_RDONLY. */
const accessMode = 3

/**
 * How many open file descriptions may write to each path. CRIU compares descriptors by kcmp(2): those that a fork or a dup
 * shares are one entry. A mapping of a file that nobody has open is an entry with O_RDONLY.
 */
export async function writersByPath(imagesFolder: string): Promise<Map<string, number>> {
  const writers = new Map<string, number>()
  for (const entry of fileEntriesOf(await readFile(`${imagesFolder}/files.img`))) {
    const file = regularFileOf(entry)
    if (file !== undefined && file.flags % (accessMode + 1) !== 0)
      writers.set(file.name, (writers.get(file.name) ?? 0) + 1)
  }
  return writers
}

/** The paths of all regular files that the program held, open or mapped, as bytes in latin1. */
export async function heldPaths(imagesFolder: string): Promise<Set<string>> {
  const paths = new Set<string>()
  for (const entry of fileEntriesOf(await readFile(`${imagesFolder}/files.img`))) {
    const file = regularFileOf(entry)
    if (file !== undefined) paths.add(file.nameBytes.toString('latin1'))
  }
  return paths
}

export type Comparison = 'all' | 'programs' | 'nothing'

/**
 * CRIU refuses a file whose size or mode is not what it was ("bad size", validate_file in criu/files-reg.c), also where the
 * program never wrote to it. Without the two in the image it compares nothing. `programs`: only a file with a build ID is
 * compared, since the memory of a program does not fit another build of it.
 * @returns how many files are compared no more
 */
export function stopComparing(imagesFolder: string, of: (path: string) => Comparison): Promise<number> {
  return rewriteFilesImage(imagesFolder, (image) => withoutComparison(image, of))
}

export function withoutComparison(
  image: Buffer,
  of: (path: string) => Comparison,
): { image: Buffer; changed: number } | undefined {
  return withEntriesChanged(image, (entry) => {
    const file = regularFileOf(entry)
    if (file === undefined || !file.has(number.size, number.mode)) return undefined
    const comparison = of(file.name)
    if (comparison === 'all' || (comparison === 'programs' && file.has(number.buildId))) return undefined
    return file.without(number.size, number.mode)
  })
}

const isOneOf = (numbers: readonly number[]) => (field: Field) => numbers.includes(field.number)

function regularFileOf(entry: Buffer) {
  // A program may have a hundred thousand other descriptors.
  if (!entry.subarray(0, regularType.length).equals(regularType)) return undefined
  const fields = fieldsOf(entry)
  const message = fields.find((field) => field.number === regularField)
  if (message === undefined) return undefined
  const values = fieldsOf(message.bytes)
  const nameBytes = values.find((field) => field.number === number.name)?.bytes ?? Buffer.alloc(0)
  return {
    flags: values.find((field) => field.number === number.flags)?.value ?? 0,
    name: nameBytes.toString('utf8'),
    nameBytes,
    has: (...numbers: number[]) => values.some(isOneOf(numbers)),
    without: (...numbers: number[]) => {
      const kept = values.filter((field) => !isOneOf(numbers)(field)).map(({ raw }) => raw)
      const changed = encodeMessage(regularField, Buffer.concat(kept))
      return Buffer.concat(fields.map((field) => (field === message ? changed : field.raw)))
    },
  }
}

/**
 * Whether a dump needs files that CRIU has given a temporary name (link_remap.N, create_link_remap in criu/files-reg.c). A file of the
 * application's that is called so costs a search that finds nothing.
 */
export async function hasLinkRemaps(imagesFolder: string): Promise<boolean> {
  return (await readFile(`${imagesFolder}/files.img`)).includes('link_remap.')
}
