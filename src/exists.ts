import { stat } from 'node:fs/promises'
import { errnoOf } from './errors.ts'

/** Whether the path leads to something. @throws where that cannot be known: an error of the disk is no answer */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return false
    throw error
  }
}
