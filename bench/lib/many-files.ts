/** An image layer of many small files: folders of a thousand files each, or a hundred where that is all. */
import { mkdirSync, writeFileSync } from 'node:fs'

const filesInFolder = 1_000
const leastFolders = 10

export function makeFiles(layer: string, files: number): void {
  const folders = Math.max(leastFolders, files / filesInFolder)
  for (let folder = 0; folder < folders; folder++) {
    mkdirSync(`${layer}/data/${folder}`, { recursive: true })
    for (let file = 0; file < files / folders; file++) writeFileSync(`${layer}/data/${folder}/${file}`, 'x')
  }
}

/** A shell command that changes a thousand of them before it goes on as the program. */
export function changingFiles(program: readonly string[]): string[] {
  const folders = Array.from({ length: leastFolders }, (_, at) => at).join(' ')
  const change = `for d in ${folders}; do for f in $(seq 0 99); do echo changed > /data/$d/$f; done; done`
  return ['/bin/sh', '-c', `${change}; exec "$@"`, 'sh', ...program]
}
