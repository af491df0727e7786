/**
 * Mounts whose locks other nodes do not see. There a lock that is free proves nothing of a pod on another node. Its beat tells whether it lives.
 */
import { readFileSync } from 'node:fs'

/** A file system in a program mostly leaves locks to the kernel of its node, and no option says so. */
const alwaysLocal = /^(?:fuse(?:\..*)?|virtiofs)$/
/** https://man7.org/linux/man-pages/man5/nfs.5.html, mount.cifs(8), and the manuals of Lustre, GFS2 and OCFS2 */
const localOptions = new Set(['nolock', 'local_lock=all', 'local_lock=flock', 'nobrl', 'localflock', 'localflocks']) // prettier-ignore
const shared = /^(?:nfs4?|cifs|smb3|lustre|gfs2|ocfs2|ceph)$/

export function locksAreLocal(path: string): boolean {
  try {
    return areLocal(readFileSync('/proc/self/mountinfo', 'utf8'), path)
  } catch {
    return false
  }
}

/** @param mountinfo as in proc_pid_mountinfo(5); the last mount that covers the path is the one */
export function areLocal(mountinfo: string, path: string): boolean {
  let longest = -1
  let answer = false
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ')
    const point = unescaped(before.split(' ')[4] ?? '')
    const [type = '', , options = ''] = after.split(' ')
    const isOver = point !== '' && (path === point || path.startsWith(point === '/' ? '/' : `${point}/`))
    if (!isOver || point.length < longest) continue
    longest = point.length
    answer = alwaysLocal.test(type) || (shared.test(type) && options.split(',').some((one) => localOptions.has(one))) // prettier-ignore
  }
  return answer
}

function unescaped(text: string): string {
  return text.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}
