/** Whether a dump needs files that CRIU has given a temporary name (link_remap.N, create_link_remap in criu/files-reg.c). */
import { readFile } from 'node:fs/promises'

/** By the names in `files.img`. A file of the application's that is called so costs a search that finds nothing. */
export async function hasLinkRemaps(imagesFolder: string): Promise<boolean> {
  return (await readFile(`${imagesFolder}/files.img`)).includes('link_remap.')
}
