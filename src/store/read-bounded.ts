import { constants } from 'node:fs'
import { withFile } from '../durable-file.ts'

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants

/**
 * The content of a small regular file. A link, a pipe (O_NONBLOCK: opening one does not wait for a writer) or a giant file in its place
 * is not read.
 */
export async function readBounded(path: string, mostBytes: number): Promise<Buffer> {
  return withFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, async (file) => {
    const stat = await file.stat()
    if (!stat.isFile()) throw new Error(`${path} is not a regular file`)
    if (stat.size > mostBytes)
      throw new Error(`${path} has ${stat.size} bytes, more than the ${mostBytes} allowed`)
    return file.readFile()
  })
}
