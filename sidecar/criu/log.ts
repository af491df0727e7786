/** What CRIU's log says went wrong, for a person: the lines marked Error, first and last ones first. */
import { readFile } from 'node:fs/promises'

export async function criuErrors(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '')
  const lines = text.split('\n').filter((line) => line.includes('Error ('))
  const short = lines.map((line) => line.replace(/^\(\d+\.\d+\) +(?:\d+: )?Error /, '').trim())
  return [...new Set(short)].slice(0, 4).join(' | ')
}

/** CRIU prints this (pr_info in network_lock(), criu/net.c) when every task of the tree has been seized: all stand still. */
export const frozenMark = 'Lock network'
