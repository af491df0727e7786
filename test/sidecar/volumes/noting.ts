/**
 * Run in a mount namespace of its own, where /reprieve holds the launcher and stand-ins for the bundled tools, and a volume is at /mnt: two
 * containers begin on it, one after the other.
 *
 *   node noting.ts LAUNCHER_PID [DELETED...]
 *
 * With the names that an application had deleted: which of them stay, where nobody that we protect has begun.
 */
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { archiveFiles } from '../../../sidecar/files/archive.ts'
import { noteVolumes, planShared, volumesHere } from '../../../sidecar/volumes/shared-restore.ts'
import { readNote, settleNote } from '../../../sidecar/volumes/volume-note.ts'
import { quietLog as log } from '../quiet-log.ts'
import { containerPlan, podPlan } from '../stand-ins.ts'

const app = { ...containerPlan, emptyDirs: ['/mnt'] }
const beside = { ...app, name: 'beside' }
const usual = { pid: Number(process.argv[2]), podPlan: { ...podPlan, containers: [app, beside] }, deadlineMs: 20_000, signal: AbortSignal.timeout(20_000), log } // prettier-ignore
const options = { ...usual, plan: app, folder: '/reprieve/run/app' }
const checkpoint = '/reprieve/staging/beside'
for (const folder of [options.folder, checkpoint]) mkdirSync(folder, { recursive: true })

const [, , , ...deleted] = process.argv
if (deleted.length > 0) {
  writeFileSync(`${checkpoint}/${archiveFiles.deleted}`, deleted.join('\0'))
  const restored = { ...usual, plan: app, folder: checkpoint, createdAt: '2026-01-02T03:04:05.000Z' }
  const { leave, volumes } = await planShared(restored, await volumesHere(restored), new Set())
  process.stdout.write(JSON.stringify({ leave: [...leave], volumes }))
  process.exit()
}

async function begins(): Promise<string[]> {
  await noteVolumes(options, await volumesHere(options))
  await settleNote('app')
  const names: string[] = []
  await readNote('app', (name) => name.endsWith('.file') && names.push(name.replace(/^\S+ /, '')))
  return names.sort()
}

for (const name of ['kept', 'removed', 'written', 'removed before', '日'])
  writeFileSync(`/mnt/${name}.file`, '')
const first = await begins()
rmSync('/mnt/removed before.file')
const second = await begins()
appendFileSync('/mnt/written.file', 'more')
rmSync('/mnt/removed.file')
const archived = ['kept', 'removed', 'written', 'removed before', 'new'].map((name) => `/mnt/${name}.file\0`)
writeFileSync(`${checkpoint}/${archiveFiles.list}`, archived.join(''))
const later = { ...usual, plan: beside, folder: checkpoint, createdAt: '2026-01-02T03:04:05.000Z' }
const { leave, back } = await planShared(later, await volumesHere(later), new Set())
process.stdout.write(JSON.stringify({ first, second, leave: [...leave].sort(), back: [...back].sort() }))
