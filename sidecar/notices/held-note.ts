/** That a container is held for an announced end, for a later life of this sidecar: nobody else would let it go. */
import { readFile, rm, writeFile } from 'node:fs/promises'

export class HeldNote {
  readonly #path: string

  /** @param path of a file in a folder that is there */
  constructor(path: string) {
    this.#path = path
  }

  /** @param checkpoint what it was ended with */
  async write(checkpoint: string): Promise<void> {
    await writeFile(this.#path, checkpoint)
  }

  /** The checkpoint's id; undefined: it is not held, for all that is known. */
  async read(): Promise<string | undefined> {
    const text = await readFile(this.#path, 'utf8').catch(() => '')
    return text === '' ? undefined : text
  }

  async remove(): Promise<void> {
    await rm(this.#path, { force: true })
  }
}
