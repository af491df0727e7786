/** What CRIU's log says went wrong, for a person: the lines marked Error, first and last ones first. */
import { readFile } from 'node:fs/promises'

/** CRIU marks these as errors and goes on: a feature it looks for at the start and does not need here. */
const harmless = [/criu\/tun\.c/, /RLIMIT_NOFILE for self/]

export async function criuErrors(file: string): Promise<string> {
  return (await criuErrorLines(file)).slice(0, 4).join(' | ')
}

/** All of them, each once. */
export async function criuErrorLines(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch(() => '')
  const lines = text
    .split('\n')
    .filter((line) => line.includes('Error (') || line.startsWith('reprieve-launcher:'))
  const short = lines
    .filter((line) => !harmless.some((pattern) => pattern.test(line)))
    .map((line) => line.replace(/^\(\d+\.\d+\) +(?:\d+: )?Error /, '').trim())
  return [...new Set(short)]
}

/** CRIU prints this (pr_info in network_lock(), criu/net.c) when every task of the tree has been seized: all stand still. */
export const frozenMark = 'Lock network'
