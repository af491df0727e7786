/** An image layer of small files, a hundred in each folder and a hundred folders in each of those above. */
import { mkdirSync, writeFileSync } from 'node:fs'

const width = 100
/** A tenth of the folders of the first one. */
const changedFolders = 10

export function makeFiles(layer: string, files: number): void {
  for (let at = 0; at < files / width; at++) {
    const folder = `${layer}/data/${Math.floor(at / width)}/${at % width}`
    mkdirSync(folder, { recursive: true })
    for (let file = 0; file < width; file++) writeFileSync(`${folder}/${file}`, 'x')
  }
}

/** A shell command that changes a thousand of them before it goes on as the program. */
export function changingFiles(program: readonly string[]): string[] {
  const change = `for d in $(seq 0 ${changedFolders - 1}); do for f in $(seq 0 ${width - 1}); do echo changed > /data/0/$d/$f; done; done` // prettier-ignore
  return ['/bin/sh', '-c', `${change}; exec "$@"`, 'sh', ...program]
}
