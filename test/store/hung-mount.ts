/** A file system that hangs as a lost NFS server's hard mount does: FUSE, with nobody who answers. */
import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'

type Test = { teardown: (work: () => unknown) => void }

/** Every call into the folder hangs until the returned function is called; then those that hang fail, and the folder is one of the disk's. */
export function hungMount(t: Test, folder: string): () => void {
  mkdirSync(folder, { recursive: true })
  const device = openSync('/dev/fuse', 'r+')
  const options = 'fd=3,rootmode=40000,user_id=0,group_id=0'
  const stdio = ['ignore', 'ignore', 'inherit', device] as const
  execFileSync('mount', ['-i', '-t', 'fuse', '-o', options, 'hung', folder], { stdio: [...stdio] })
  let hangs = true
  const comeBack = () => {
    if (!hangs) return
    hangs = false
    closeSync(device)
    execFileSync('umount', ['--lazy', folder])
  }
  t.teardown(comeBack)
  return comeBack
}
