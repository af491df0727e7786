/**
 * Files of config maps, secrets and projected volumes. A kubelet writes them to a folder that is named for the instant, `..data` leads there
 * (kubernetes, pkg/volume/util/atomic_writer.go), and what a process has open or watches is known by that folder: which is another
 * in the next pod.
 */
import { encodeMessage, encodeNumber, fieldsOf, withChanged, withMessagesChanged } from './protobuf.ts'

/** images/fdinfo.proto: how an entry begins, by its type, and the field of its message. */
const regular = { type: Buffer.from([8, 1]), field: 3 } as const
const inotify = { type: Buffer.from([8, 8]), field: 13 } as const
/** images/regfile.proto, fsnotify.proto and fh.proto. */
const number = { name: 6, size: 8, watch: 5, handle: 7, path: 4 } as const

const datedForm = /^\.\.\d{4}(?:_\d\d){5}\.\d+$/

export function isDated(name: string): boolean {
  return datedForm.test(name)
}

/**
 * @param folders the dated folder of today, by mount point
 * @param sizeOf of a regular file; undefined for what is none
 * @param told of each regular file that has not the size that it had
 * @returns undefined for an entry that stays as it is
 */
export function withTodaysFolder(
  entry: Buffer,
  folders: ReadonlyMap<string, string>,
  sizeOf: (path: string) => number | undefined,
  told: (path: string) => void,
): Buffer | undefined {
  const isOf = (type: Buffer) => entry.subarray(0, type.length).equals(type)
  if (isOf(regular.type))
    return withMessagesChanged(entry, regular.field, (file) => {
      const path = todaysPath(textIn(file, number.name), folders)
      return path === undefined ? undefined : renamed(file, path, sizeOf, told)
    })
  if (!isOf(inotify.type)) return undefined
  return withMessagesChanged(entry, inotify.field, (watcher) =>
    withMessagesChanged(watcher, number.watch, (watch) =>
      withMessagesChanged(watch, number.handle, (handle) =>
        withMessagesChanged(handle, number.path, (bytes) => {
          const path = todaysPath(bytes.toString('utf8'), folders)
          return path === undefined ? undefined : Buffer.from(path)
        }),
      ),
    ),
  )
}

/** CRIU compares the size (validate_file in criu/files-reg.c): it is brought up to date, for the file is the cluster's to change. */
function renamed(
  file: Buffer,
  path: string,
  sizeOf: (path: string) => number | undefined,
  told: (path: string) => void,
): Buffer | undefined {
  const named = withChanged(file, number.name, () => encodeMessage(number.name, Buffer.from(path)))
  const size = sizeOf(path)
  const resized = withChanged(named ?? file, number.size, ({ value }) => {
    if (size === undefined || value === size) return undefined
    told(path)
    return encodeNumber(number.size, size)
  })
  return resized ?? named
}

function todaysPath(path: string, folders: ReadonlyMap<string, string>): string | undefined {
  const names = path.split('/')
  const at = names.findIndex(isDated)
  const folder = folders.get(names.slice(0, Math.max(0, at)).join('/'))
  return folder === undefined || folder === names[at] ? undefined : names.with(at, folder).join('/')
}

function textIn(message: Buffer, field: number): string {
  return (
    fieldsOf(message)
      .find((one) => one.number === field)
      ?.bytes.toString('utf8') ?? ''
  )
}
