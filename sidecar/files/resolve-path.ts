/** Where a path of a container leads, seen from outside it. */
import { readlink } from 'node:fs/promises'
import { posix } from 'node:path'

/** As the kernel counts (path_resolution(7)). */
const mostLinks = 40

/**
 * Follows the symbolic links of a path inside another root, so that `/var/run/x` becomes `/run/x` where the image has it so: the
 * kernel lists mounts by where they are, a pod by how its owner wrote them. What does not exist stays as it is written.
 */
export async function resolvePath(root: string, path: string): Promise<string> {
  let at = '/'
  let rest = path.split('/').filter((name) => name !== '')
  for (let links = 0; rest.length > 0;) {
    const [name = '', ...others] = rest
    rest = others
    const next = posix.join(at, name)
    const target = next === '/' ? undefined : await readlink(`${root}${next}`).catch(() => undefined)
    if (target === undefined || links >= mostLinks) {
      at = next
      continue
    }
    links++
    if (target.startsWith('/')) at = '/'
    rest = [...target.split('/').filter((part) => part !== '' && part !== '.'), ...rest]
  }
  return at
}
