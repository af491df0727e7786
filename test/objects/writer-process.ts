/** Puts objects into a folder until it is killed: `writer-process.ts FOLDER FILL`. Each has bytes of one value. */
import { createDirectoryObjects } from '../../src/objects/directory.ts'

export const objectBytes = 3 << 20

if (import.meta.main) {
  const [path = '', fill = '0'] = process.argv.slice(2)
  const objects = createDirectoryObjects({ name: 'disk', path })
  const signal = AbortSignal.timeout(60_000)
  process.stdout.write('begins\n')
  for (let round = 0; ; round++) {
    const body = [Buffer.alloc(objectBytes, Number(fill) + 1)]
    const key = `a/${round % 3}`
    if (round % 4 === 3) await objects.remove([key], { signal })
    else await objects.put(key, body, { signal, ifAbsent: round % 2 === 0 }).catch(() => undefined)
  }
}
