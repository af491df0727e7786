/**
 * Run in a mount namespace whose root is an overlay: changes files of the image folder as an application does, and tells what is found.
 *
 *   node on-overlay.ts PID LOWER
 */
import { appendFileSync, chmodSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs' // prettier-ignore
import { setTimeout as delay } from 'node:timers/promises'
import { findChanged } from '../../../sidecar/files/changed-files.ts'
import { addMoved } from '../../../sidecar/files/moved-folders.ts'
import { findDeleted, readBaselineNames } from '../../../sidecar/files/deleted-names.ts'
import { quietLog as log } from '../quiet-log.ts'

const [, , pid, lower = ''] = process.argv
const signal = AbortSignal.timeout(60_000)
const options = { pid: Number(pid), folder: '/reprieve', log, deadlineMs: 60_000, signal }
// Only the image's folder is looked through, not the machine's own files.
const mountPoints = readdirSync('/', 'latin1').flatMap((name) => (name === 'image' ? [] : [`/${name}`]))

const names = readdirSync('/image', { recursive: true, encoding: 'latin1' }).map((name) => `/image/${name}`)
writeFileSync('/reprieve/names', ['/', '/image', ...names, ''].join('\0'))
const baseline = { instantMs: Date.now(), names: '/reprieve/names' }
await delay(50)

mkdirSync('/image/own/inner', { recursive: true })
writeFileSync('/image/own/inner/file', 'own')
appendFileSync('/image/written/deep/file', 'more')
chmodSync('/image/mode/file', 0o600)
symlinkSync('file', '/image/linked/link')
rmSync('/image/gone/file')
rmSync('/image/replaced', { recursive: true })
writeFileSync('/image/replaced', 'now a file')
rmSync('/image/again', { recursive: true })
mkdirSync('/image/again')
// Before the names are read; and what changes between that and the freeze.
const ahead = await readBaselineNames(baseline.names, ['/', '/image', '/image/gone'], signal)
await delay(50)
rmSync('/image/late/file')
appendFileSync('/image/written/deep/file', 'and more')
renameSync('/image/own', '/image/renamed')
renameSync('/image/moved', '/image/renamed/moved')

const walk = async (isOverlay: boolean) => {
  const roots = { roots: ['/'], mountPoints, external: [], excluded: [], isOverlay, movesFolders: true }
  const changed = await findChanged(options, roots, baseline)
  await addMoved(options, roots, baseline, { changed, known: ahead.folders })
  return changed
}
const [pruned, whole] = [await walk(true), await walk(false)]
// Nobody writes to a lower layer; here it shows which folders are looked into.
writeFileSync(`${lower}/image/untouched/deep/unseen`, '')
const again = await walk(true)
process.stdout.write(
  JSON.stringify({
    pruned: pruned.paths.toSorted(),
    whole: whole.paths.toSorted(),
    seen: again.paths.filter((path) => path.includes('untouched')),
    deleted: (await findDeleted(options.pid, ahead, pruned, signal)).toSorted(),
  }),
)
