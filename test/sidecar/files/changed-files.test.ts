import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { bringTools } from './unpack-stage.ts'
import { program } from '../stand-ins.ts'

const imageFiles = ['written/deep/file', 'written/deep/other', 'mode/file', 'linked/file', 'gone/file', 'gone/stays', 'replaced/file', 'again/inner/file', 'late/file', 'late/stays', 'moved/deep/file', 'untouched/deep/file'] // prettier-ignore

/** A process whose root is an overlay of the machine's own files, with an image's folder among them. */
async function onOverlay(t: Test) {
  const folder = t.testdir({ files: { image: {} }, space: {} })
  for (const name of imageFiles) {
    const path = join(folder, 'files/image', name)
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, name)
  }
  const [files, space] = [join(folder, 'files'), join(folder, 'space')]
  const script = `
    mount -t tmpfs none ${space} && cd ${space} && mkdir root && cp -r ${files} lower
    # Time passes between an image and its container.
    sleep 1.5
    mkdir upper work
    mount -t overlay overlay -o lowerdir=lower:/,upperdir=upper,workdir=work,redirect_dir=on root
    mkdir -p root/reprieve root/lower
    mount -t tmpfs none root/reprieve && mount --rbind /proc root/proc && mount --bind lower root/lower
    for device in null urandom; do touch root/dev/$device; mount --bind /dev/$device root/dev/$device; done
    mkdir root/old && pivot_root root root/old && umount -l /old && cd / && exec sleep 100`
  const { pid } = await program(t, ['unshare', '--mount', 'sh', '-ec', script], (pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith('sleep\x00100'),
  )
  bringTools(`/proc/${pid}/root/reprieve`)
  return pid
}

t.test(
  'on an overlay only folders that were written to are looked into, and every change is found',
  async (t) => {
    const pid = await onOverlay(t)
    const argv = [process.execPath, join(import.meta.dirname, 'on-overlay.ts'), String(pid), '/lower']
    const said = execFileSync('nsenter', [`--mount=/proc/${pid}/ns/mnt`, ...argv], { timeout: 60_000, encoding: 'utf8' }) // prettier-ignore
    const found = JSON.parse(said) as Record<'pruned' | 'whole' | 'seen' | 'deleted', string[]>
    t.strictSame(found.pruned, found.whole, 'as by a walk of everything')
    const expected = ['again', 'gone', 'late', 'linked', 'linked/link', 'mode', 'mode/file', 'renamed', 'renamed/inner', 'renamed/inner/file', 'renamed/moved', 'renamed/moved/deep', 'renamed/moved/deep/file', 'replaced', 'written', 'written/deep', 'written/deep/file'] // prettier-ignore
    t.strictSame(found.pruned, ['/image', ...expected.map((name) => `/image/${name}`)])
    t.strictSame(found.seen, [])
    const deleted = ['again/inner', 'gone/file', 'late/file', 'moved', 'replaced']
    t.strictSame(found.deleted, deleted.map((name) => `/image/${name}`)) // prettier-ignore
  },
)
