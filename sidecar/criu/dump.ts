/** One `criu dump`, run in the application's namespaces, told apart into its instants. */
import { open, statfs, type FileHandle } from 'node:fs/promises'
import type { Duplex } from 'node:stream'
import { ReprieveError } from '../../src/errors.ts'
import type { EventLog } from '../../src/log.ts'
import type { StdioPipe } from '../../src/manifest.ts'
import { commandError, runCommand } from '../proc/command.ts'
import { enterArgv, toolArgv } from '../setup/tools.ts'
import { requireCapabilities } from './held-capabilities.ts'
import { answerHooks, type HookAnswer } from './hook-channel.ts'
import { dumpObstacles, obstacleIn } from '../../src/dump-obstacles.ts'
import { criuErrorLines, frozenMark } from './log.ts'
import { dumpArguments } from './options.ts'
import { requireProgramFiles } from './memory-programs.ts'
import { connectedSockets } from './outside-sockets.ts'
import { watchedPaths } from './watched-paths.ts'

export type DumpOptions = {
  /** The container's launcher, whose namespaces CRIU runs in. */
  launcherPid: number
  root: number
  stdio: readonly StdioPipe[]
  imagesFolder: string
  workFolder: string
  /** What becomes of the application after a dump that is answered `go`: it goes on, or CRIU kills it. */
  leaveRunning: boolean
  /** Told what the application watches by inotify, before anything stops. @throws to fail the dump */
  watched: (paths: readonly string[]) => void
  /** All tasks stand still now. */
  frozen: () => void
  /** The images are written, all tasks still stand. `abort` lets the application go on and fails the dump. */
  dumped: () => Promise<HookAnswer>
  deadlineMs: number
  signal: AbortSignal
  log: EventLog
}

export type DumpTimes = { startMs: number; dumpMs: number; frozenMs: number }

/** @throws ReprieveError `dump-failed`; the application then goes on, whatever became of CRIU. */
export async function dump(options: DumpOptions): Promise<DumpTimes> {
  await requireCapabilities(options.root)
  await requireProgramFiles(options.root)
  const held = { watched: await watchedPaths(options), connected: await connectedSockets(options.root) }
  options.watched(held.watched)
  const argv = enterArgv(
    options.launcherPid,
    ...toolArgv('criu', ...dumpArguments(options.root, options.stdio, options.leaveRunning, held)),
  )
  const began = performance.now()
  const at = { frozen: 0, dumped: 0 }
  const markFrozen = () => {
    if (at.frozen > 0) return
    at.frozen = performance.now()
    options.frozen()
  }
  const logFile = `${options.workFolder}/dump.log`
  const images = await open(options.imagesFolder, 'r')
  const work = await open(options.workFolder, 'r')
  const watch = watchForMark(logFile, frozenMark, markFrozen)
  try {
    const result = await runCommand(argv, {
      log: options.log,
      deadlineMs: options.deadlineMs,
      signal: options.signal,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', images.fd, work.fd],
      started: (child) =>
        answerHooks(child.stdio[3] as Duplex, async (action) => {
          if (action !== 'post-dump') return 'go'
          // Without the mark (another version's log, say) the archive begins only here: slower, not wrong.
          markFrozen()
          at.dumped = performance.now()
          return options.dumped()
        }),
    })
    const ended = performance.now()
    if (result.outcome !== 'exited' || result.code !== 0) {
      const said = await criuErrorLines(logFile)
      const why = [...said.slice(0, 4), await shortOfRoom(options.imagesFolder)].filter((text) => text !== '')
      const cause = commandError(argv, result)
      const message = why.length === 0 ? 'CRIU did not finish the dump' : `CRIU: ${why.join(' | ')}`
      const obstacle = obstacleIn(said.join('\n'))
      throw obstacle === undefined
        ? new ReprieveError('dump-failed', message, {}, cause)
        : new ReprieveError(
            'dump-failed',
            `${dumpObstacles[obstacle].means}. ${message}`,
            { obstacle },
            cause,
          )
    }
    return { startMs: at.frozen - began, dumpMs: at.dumped - at.frozen, frozenMs: ended - at.frozen }
  } finally {
    watch.stop()
    await Promise.all([images.close(), work.close()])
  }
}

/** On a full disk CRIU cannot write why, either. */
async function shortOfRoom(folder: string): Promise<string> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize < roomBytes ? `only ${bavail * bsize} bytes are free in ${folder}` : ''
}
/** Less than this left means that something has run out of it: page images are written a mebibyte and more at a time. */
const roomBytes = 4 << 20

/** Reads a growing file every 2 ms until it holds the mark; an inotify event would come per line, thousands of them. */
function watchForMark(file: string, mark: string, found: () => void): { stop: () => void } {
  const stopped = new AbortController()
  const look = async () => {
    let tail = ''
    let handle: FileHandle | undefined
    const buffer = Buffer.alloc(64 * 1024)
    while (!stopped.signal.aborted) {
      handle ??= await open(file, 'r').catch(() => undefined)
      const { bytesRead } = (await handle?.read(buffer, 0, buffer.length)) ?? { bytesRead: 0 }
      const text = tail + buffer.toString('latin1', 0, bytesRead)
      if (text.includes(mark)) {
        // A read may have hung for as long as CRIU was there.
        if (!stopped.signal.aborted) found()
        break
      }
      tail = text.slice(-mark.length)
      if (bytesRead === 0) await new Promise((resolve) => setTimeout(resolve, 2))
    }
    await handle?.close()
  }
  void look().catch(() => undefined)
  return { stop: () => stopped.abort() }
}
