/** Arguments for the bundled GNU tar, run inside the container's mount namespace. Descriptor 3 is the list of names. */
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
