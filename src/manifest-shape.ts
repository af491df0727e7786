/**
 * The form of a manifest that the program trusts. The limits are far above the size of real checkpoints and keep a
 * hostile one from costing memory, or from reaching outside its folder.
 */
import { isCheckpointId } from './checkpoint-id.ts'
import { generationShape } from './generation.ts'
import { manifestVersion } from './manifest.ts'
import { isRecord, list, object, text, whole, type Check } from './shape.ts'
import { workPartsShape } from './work.ts'

export const manifestLimits = {
  manifestBytes: 64 << 20,
  files: 100_000,
  /** PATH_MAX and NAME_MAX of Linux (limits.h), the former with room for the store's own folders. */
  pathBytes: 2048,
  nameBytes: 255,
  textBytes: 4096,
  pids: 100_000,
  /** PID_MAX_LIMIT of 64-bit Linux (include/linux/threads.h). */
  pid: 4 * 1024 * 1024,
} as const

/**
 * Whether a path may name a file of a checkpoint: relative, plain names only, so that it cannot leave the folder it is
 * joined to; no control characters, which could forge lines in a log.
 */
export function isStoredPath(path: string): boolean {
  return (
    // eslint-disable-next-line no-control-regex
    !/[\u0000-\u001f\u007f]/.test(path) &&
    path
      .split('/')
      .every(
        (part) =>
          part !== '' && part !== '.' && part !== '..' && Buffer.byteLength(part) <= manifestLimits.nameBytes,
      )
  )
}

const anyText = text('a text', manifestLimits.textBytes, () => true)
const someText = text('a text, not empty', manifestLimits.textBytes, (value) => value.length > 0)
const name = text('a text without NUL, not empty', 1024, (value) => value.length > 0 && !value.includes('\0'))
const instant = text('an instant like 2026-01-02T03:04:05.678Z', 24, isInstant)
const duration: Check = (value, where, report) => {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
    report(`${where} must be a number of milliseconds`)
}
const storedPath = text('a plain relative path', manifestLimits.pathBytes, isStoredPath)
const externalPath = text(
  'an absolute path without . or ..',
  manifestLimits.textBytes,
  (path) =>
    path.startsWith('/') &&
    !path.includes('\0') &&
    path
      .slice(1)
      .split('/')
      .every((part) => !['', '.', '..'].includes(part)),
)
const pid = whole(1, manifestLimits.pid)

const decimal = text('a whole number in decimal', 20, (value) => /^-?\d+$/.test(value))
const sha256 = text('a SHA-256 in lower-case hex', 64, (hash) => /^[0-9a-f]{64}$/.test(hash))
const truth: Check = (value, where, report) => {
  if (typeof value !== 'boolean') report(`${where} must be true or false`)
}
const heldFile = object(
  {
    inode: decimal,
    bornNs: decimal,
    modifiedNs: decimal,
    folder: text('an inode and a time, in decimal', 41, (folder) => /^\d+ \d+$/.test(folder)),
    sample: sha256,
    use: text('read, append or write', 8, (use) => ['read', 'append', 'write'].includes(use)),
    alone: truth,
    mapped: truth,
    guarded: truth,
  },
  ['sample'],
)

const heldFiles = list(
  object({ path: externalPath, sizeBytes: whole(0), held: heldFile }, ['held']),
  manifestLimits.files,
)

const draftFields = {
  id: text("a checkpoint's id", 64, isCheckpointId),
  slot: object({ lineage: name, container: name }),
  epoch: whole(1),
  createdAt: instant,
  trigger: someText,
  reason: anyText,
  pod: object({ name: someText, uid: someText, node: anyText }),
  fits: object(
    {
      fingerprint: someText,
      architecture: someText,
      launcher: anyText,
      incarnation: someText,
      parts: workPartsShape,
    },
    ['incarnation', 'parts'],
  ),
  generation: generationShape,
  parent: text("a checkpoint's id", 64, isCheckpointId),
  made: object({ kernel: anyText, criu: anyText, reprieve: anyText }),
  process: object(
    {
      rootPid: pid,
      pids: list(pid, manifestLimits.pids),
      stdio: list(
        object({
          fd: whole(0, 2),
          inode: text('the inode of a pipe', 64, (inode) => /^[\w:[\]]+$/.test(inode)),
        }),
        3,
      ),
      filters: whole(0, 1000),
    },
    ['filters'],
  ),
  externalFiles: heldFiles,
  sharedFiles: heldFiles,
  timings: object({ frozenMs: duration, dumpMs: duration, archiveMs: duration }),
} satisfies Record<string, Check>

const manifestFields = object(
  {
    ...draftFields,
    version: whole(manifestVersion, manifestVersion),
    files: list(
      object({
        path: storedPath,
        sizeBytes: whole(0),
        sha256,
      }),
      manifestLimits.files,
    ),
    totalBytes: whole(0),
  },
  ['epoch', 'generation', 'parent', 'sharedFiles'],
)

/** The shape, and what must hold between fields. */
export const manifestShape: Check = (value, where, report) => {
  manifestFields(value, where, report)
  if (!isRecord(value)) return
  const files = Array.isArray(value.files) ? value.files.filter(isRecord) : []
  const paths = files.map((file) => file.path).filter((path) => typeof path === 'string')
  for (const path of clashesOf(paths))
    report(`files has ${JSON.stringify(path)} twice, or both as a file and a folder`)
  const total = files.reduce(
    (sum, file) => sum + (typeof file.sizeBytes === 'number' ? file.sizeBytes : Number.NaN),
    0,
  )
  if (total !== value.totalBytes) report(`totalBytes must be the sum of the files' sizes`)
  const process = isRecord(value.process) ? value.process : {}
  const fds = Array.isArray(process.stdio) ? process.stdio.filter(isRecord).map((pipe) => pipe.fd) : []
  if (new Set(fds).size !== fds.length) report('process.stdio names a descriptor twice')
}

function clashesOf(paths: readonly string[]): string[] {
  const seen = new Set<string>()
  const clashes = new Set<string>()
  for (const path of paths) {
    if (seen.has(path)) clashes.add(path)
    seen.add(path)
  }
  for (const path of paths) {
    // Over-long paths are a problem of their own; walking up all their parents would be quadratic work for nothing.
    if (path.length > manifestLimits.pathBytes) continue
    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1)) {
      if (seen.has(path.slice(0, end))) clashes.add(path.slice(0, end))
    }
  }
  return [...clashes]
}

export function isInstant(value: string): boolean {
  const instant = new Date(value)
  return value.length === 24 && !Number.isNaN(instant.getTime()) && instant.toISOString() === value
}
