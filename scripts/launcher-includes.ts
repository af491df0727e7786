/**
 * The directions of includes inside the launcher: each mode has a folder and includes only its own headers, those of
 * `shared/`, and `modes.h`, the list of the modes; `shared/` includes no mode. Part of `check-layers.ts`.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

/** The top floor of `launcher/`: the program's entry, and what it calls. */
const entries = ['main.c', 'modes.h']

const includePattern = /^[ \t]*#[ \t]*include[ \t]*["<]([^">\n]+)[">]/gm

/** One line for each include that crosses from one mode to another, or from `shared/` to a mode, and for each file in no folder. */
export function includeProblems(root: string): string[] {
  return sourcesOf(root).flatMap((file) => {
    const folder = topOf(file)
    if (folder === '' && !entries.includes(file))
      return [`launcher/${file} is in no folder: launcher/ itself holds ${entries.join(' and ')} only`]
    return includesOf(root, file)
      .filter((target) => !mayInclude(folder, target))
      .map((target) => `launcher/${file} includes ${target}: ${sentence(folder)}`)
  })
}

/** Every source and header of the launcher, as paths below `launcher/`. */
export function sourcesOf(root: string): string[] {
  if (!existsSync(join(root, 'launcher'))) return []
  const names = readdirSync(join(root, 'launcher'), { recursive: true, encoding: 'utf8' })
  return names.filter((name) => /\.[ch]$/.test(name)).sort()
}

function mayInclude(folder: string, target: string): boolean {
  const targetFolder = topOf(target)
  if (targetFolder === 'shared' || (folder !== '' && targetFolder === folder)) return true
  return folder !== 'shared' && target === 'modes.h'
}

function sentence(folder: string): string {
  if (folder === 'shared') return 'shared/ may include itself only'
  return `${folder === '' ? 'main.c' : `${folder}/`} may include shared/, modes.h and its own headers only`
}

/** The mode that a file belongs to, or `shared`; empty on the top floor. */
function topOf(file: string): string {
  return file.includes('/') ? (file.split('/')[0] ?? '') : ''
}

/** The launcher's own headers among the includes, found as the compiler finds them: in the file's folder, then from `launcher/`. */
function includesOf(root: string, file: string): string[] {
  const text = readFileSync(join(root, 'launcher', file), 'utf8')
  return [...text.matchAll(includePattern)].flatMap((match) => {
    const near = normalize(join(dirname(file), match[1] ?? ''))
    const far = normalize(match[1] ?? '')
    return [near, far].filter((target) => existsSync(join(root, 'launcher', target))).slice(0, 1)
  })
}
