/** Arguments for the bundled GNU tar, run inside the container's mount namespace. Descriptor 3 is the list of names. */
import type { ChildProcess } from 'node:child_process'
import { ReprieveError } from '../../src/errors.ts'
import { mustRun, type CommandOptions } from '../proc/command.ts'
import { toolArgv } from '../setup/tools.ts'

const faithful = [
  '--numeric-owner',
  '--xattrs',
  '--xattrs-include=*',
  '--absolute-names',
  '--directory=/',
  '--blocking-factor=2048',
]

/** Writes the named files to standard output; a folder with all it holds only with `recursion`. */
export function createArguments({ recursion }: { recursion: boolean }): string[] {
  const walk = recursion ? ['--recursion', '--one-file-system'] : ['--no-recursion']
  const names = ['--null', '--verbatim-files-from', '--files-from=/proc/self/fd/3']
  // GNU tar applies these to the names that follow them only, so the names come last.
  return toolArgv(
    'tar',
    '--create',
    '--file=-',
    '--format=posix',
    '--sparse',
    '--ignore-failed-read',
    ...faithful,
    ...walk,
    ...names,
  )
}

/**
 * Runs a tar that writes an archive, and takes it for one only if every file that is there was read: `--ignore-failed-read`, without which a
 * name that has gone is a failure, fills up with zeros what could not be read, and exits with 0.
 * @throws ReprieveError `archive-failed`, `command-failed`
 */
export async function createArchive(argv: readonly string[], options: CommandOptions): Promise<void> {
  const unread: string[] = []
  await mustRun(argv, {
    ...options,
    // tar(1): 1 means that a file changed or vanished while it was read: one that another container shares.
    okCodes: [0, 1],
    started: (child) =>
      eachErrorLine(child, (line) => {
        if (isUnread(line) && unread.length < mostTold) unread.push(line)
      }),
  })
  if (unread.length > 0)
    throw new ReprieveError('archive-failed', `files could not be read: ${unread.join(' | ')}`, { unread })
}

const mostTold = 4

/** Names are quoted: none of them ends a line. A name that is gone, or whose folder has become something else, is no loss. */
function isUnread(line: string): boolean {
  const isGone = /: (No such file or directory|Not a directory)$/.test(line)
  return /: Warning: (Cannot |Read error )/.test(line) && !isGone
}

function eachErrorLine(child: ChildProcess, heard: (line: string) => void): void {
  let rest = ''
  child.stderr?.on('data', (chunk: Buffer | string) => {
    const lines = (rest + String(chunk)).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) heard(line)
  })
}

/**
 * Reads an archive from standard input, over what is there.
 * @param exceptListed descriptor 3 is a list of names to leave out, one a line, which tar takes by their bytes but for white space at their end
 */
export function extractArguments({ exceptListed = false } = {}): string[] {
  return toolArgv(
    'tar',
    '--extract',
    '--file=-',
    ...(exceptListed ? ['--anchored', '--no-wildcards', '--exclude-from=/proc/self/fd/3'] : []),
    '--same-permissions',
    '--same-owner',
    '--delay-directory-restore',
    ...faithful,
  )
}
