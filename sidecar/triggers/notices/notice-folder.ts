/**
 * A folder whose files are notices: a file that appears announces an end, one that is removed withdraws it. For node daemons and
 * scripts that know of deaths that we do not: root on the node reaches it through the kubelet's folder of the pod, root in the
 * sidecar under /reprieve/run/notices. What is read is a small regular file or nothing.
 */
import { constants, watch, type FSWatcher } from 'node:fs'
import { mkdir, open, readdir, stat } from 'node:fs/promises'
import { describeError } from '../../../src/errors.ts'
import type { EventLog } from '../../../src/log.ts'
import { longestFileBytes, readNoticeFile } from './notice-file.ts'
import type { Hear, Notice } from './notice.ts'
import type { SourceBook } from './source-book.ts'

export const folderSource = 'folder'
const usualPace = {
  /** inotify reports each write on this machine, through whichever mount. In case it does not, the folder is read this often. */
  watchedMs: 10_000,
  /** And without inotify (its instances are counted for all of the node's root), or while a file is still being written. */
  unwatchedMs: 1_000,
} as const
/** Several writes come together. */
const gatherMs = 50
const mostFiles = 100
/** Editors and `mv` write under another name first; what is still being written is looked at again. */
const isNotice = (name: string) => name.endsWith('.json') && !name.startsWith('.')
/** A file that cannot be read so long after its last change is not being written any more: then it is logged. */
const stillWritingMs = 2_000

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants

export type NoticeFolderParts = {
  path: string
  containers: readonly string[]
  hear: Hear
  book: SourceBook
  log: EventLog
  /** For tests. */
  pace?: { watchedMs: number; unwatchedMs: number }
}

export class NoticeFolder {
  readonly #parts: NoticeFolderParts
  readonly #logged = new Map<string, string>()
  readonly #heard = new Map<string, Notice>()
  #timer: NodeJS.Timeout | undefined
  #watched: { watcher: FSWatcher; folder: string } | undefined
  #isBeingWritten = false
  /** Something has changed since the last look began. */
  #hasChanged = false
  #isLooking = false
  #stopped = false

  constructor(parts: NoticeFolderParts) {
    this.#parts = parts
  }

  async start(): Promise<void> {
    await this.#turn()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#unwatch()
  }

  async #turn(): Promise<void> {
    const { book, log, path } = this.#parts
    this.#isLooking = true
    this.#hasChanged = this.#isBeingWritten = false
    try {
      await this.#look()
      book.answered(folderSource, Date.now())
    } catch (error) {
      book.failed(folderSource, describeError(error), Date.now())
      log.debug(
        { event: 'notice_folder.unread', err: error, path },
        'the folder of notices could not be read',
      )
    }
    this.#isLooking = false
    this.#lookIn(this.#hasChanged ? gatherMs : this.#pauseMs)
  }

  get #pauseMs(): number {
    const isSlow = this.#watched !== undefined && !this.#isBeingWritten
    const { watchedMs, unwatchedMs } = this.#parts.pace ?? usualPace
    return isSlow ? watchedMs : unwatchedMs
  }

  #lookIn(ms: number): void {
    clearTimeout(this.#timer)
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#turn(), ms).unref()
  }

  /** Before it is read, so that nothing comes in between unseen. */
  async #watch(path: string): Promise<void> {
    // The number alone is used again.
    const { ino, birthtimeMs } = await stat(path)
    const folder = `${ino} ${birthtimeMs}`
    if (this.#watched?.folder === folder || this.#stopped) return
    this.#unwatch()
    try {
      const watcher = watch(path, { persistent: false }, () => {
        // Not put off by what comes meanwhile, or whoever writes without a pause would keep it off for ever.
        if (!this.#hasChanged && !this.#isLooking) this.#lookIn(gatherMs)
        this.#hasChanged = true
      })
      watcher.on('error', () => this.#unwatch())
      this.#watched = { watcher, folder }
    } catch (error) {
      this.#parts.log.debug(
        { event: 'notice_folder.unwatched', err: error, path },
        'the folder of notices cannot be watched',
      )
    }
  }

  #unwatch(): void {
    this.#watched?.watcher.close()
    this.#watched = undefined
  }

  async #look(): Promise<void> {
    const { path } = this.#parts
    const names = (await this.#list(path)).filter(isNotice).toSorted()
    if (names.length > mostFiles) this.#logOnce('', `more than ${mostFiles} files: the others are not read`)
    const notices: Notice[] = []
    for (const name of names.slice(0, mostFiles)) {
      const notice = await this.#read(name)
      if (notice !== undefined) notices.push(notice)
    }
    for (const known of [this.#logged, this.#heard])
      for (const name of known.keys()) if (name !== '' && !names.includes(name)) known.delete(name)
    if (!this.#stopped) this.#parts.hear(folderSource, notices)
  }

  async #list(path: string): Promise<string[]> {
    try {
      await this.#watch(path)
      return await readdir(path)
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
      await mkdir(path, { recursive: true, mode: 0o700 })
      await this.#watch(path)
      return []
    }
  }

  async #read(name: string): Promise<Notice | undefined> {
    const { path, containers } = this.#parts
    try {
      // No link is followed, and no pipe waited for.
      const file = await open(`${path}/${name}`, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
      try {
        const stat = await file.stat()
        if (!stat.isFile()) throw new Error('not a regular file')
        if (stat.size > longestFileBytes) throw new Error(`more than ${longestFileBytes} bytes`)
        const changedAt = Math.round(stat.mtimeMs)
        const buffer = Buffer.alloc(longestFileBytes)
        const { bytesRead } = await file.read(buffer, 0, longestFileBytes, 0)
        try {
          const text = buffer.toString('utf8', 0, bytesRead)
          const notice = readNoticeFile({ name, text, changedAt }, folderSource, containers)
          this.#heard.set(name, notice)
          return notice
        } catch (error) {
          // Half of a file that is being written anew withdraws nothing.
          if (Date.now() - changedAt < stillWritingMs) {
            this.#isBeingWritten = true
            return this.#heard.get(name)
          }
          throw error
        }
      } finally {
        await file.close()
      }
    } catch (error) {
      // What the system cannot do just now (too many open files, say) withdraws nothing: the whole look is for nothing.
      if (isSystems(error)) throw error
      this.#heard.delete(name)
      if (codeOf(error) !== 'ENOENT') this.#logOnce(name, describeError(error))
      return undefined
    }
  }

  /** Once for each file and reason. */
  #logOnce(name: string, why: string): void {
    if (this.#logged.get(name) === why) return
    this.#logged.set(name, why)
    this.#parts.log.warn(
      { event: 'notice.unreadable', file: name.slice(0, 255), why },
      'a notice could not be read',
    )
  }
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code
}

/** Not of the file itself: that it is gone, a link, or what cannot be opened so (open(2)). */
function isSystems(error: unknown): boolean {
  return (
    typeof codeOf(error) === 'string' &&
    !['ENOENT', 'ELOOP', 'ENXIO', 'EISDIR'].includes(String(codeOf(error)))
  )
}
