/** Files on volumes that outlive the pod, and that others write to: a restore stops at none of them, and touches none. */
import { appendFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { poll } from '../harness/deadline.ts'
import type { Pod } from '../harness/pod.ts'
import { pythonImage } from '../images/debian.ts'
import { application, askControl, deadlineMs, openStage, podOf, sidecar, sidecarEntries, statusOf, type Stage } from './support.ts' // prettier-ignore

const first = 'first\n'.repeat(1_000)
const byAnother = 'by another\n'.repeat(100)

/** Folders of the machine as hostPath volumes and claims, each holding the file `data`. */
function folderOf(stage: Stage, name: string): string {
  const folder = join(stage.folder, name)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'data'), first)
  return folder
}

const claim = (name: string, readOnly = false) => ({
  name,
  persistentVolumeClaim: { claimName: name, readOnly },
})

const ready = (pod: Pod) => pod.waitForLog(application, /^tick 5$/, { deadlineMs })

async function restored(pod: Pod): Promise<void> {
  await pod.waitForLog(sidecar, /went on from its checkpoint|from its beginning/, { deadlineMs })
  const line = sidecarEntries(pod).find(({ msg }) => /went on from its|from its beginning/.test(msg))
  if (line?.msg !== 'the application went on from its checkpoint')
    throw new Error(`it was not restored: ${JSON.stringify(line)}`)
}

const ticks = (pod: Pod) =>
  pod.logLines(application).flatMap(({ text }) => (text.startsWith('tick ') ? [Number(text.slice(5))] : []))

t.test('files that the application only reads, and the pod’s own, never stop a restore', async (t) => {
  const stage = await openStage(t, { base: await pythonImage(), programs: ['holding.py'] })
  const names = ['plain', 'read-only', 'claim', 'read-only-claim']
  const folders = new Map(names.map((name) => [name, folderOf(stage, name)]))
  const hostPath = (name: string) => ({ name, hostPath: { path: folders.get(name) ?? '' } })
  const held = ['read=/plain/data', 'map-shared=/plain/data', 'map-private=/claim/data', 'read=/read-only/data', 'map-private=/read-only/data', 'read=/read-only-claim/data', 'map-shared=/read-only-claim/data', 'append=/dev/termination-log'] // prettier-ignore
  const pod = podOf({
    command: ['python3', '/app/holding.py', ...held],
    volumeMounts: names.map((name) => ({ name, mountPath: `/${name}`, readOnly: name === 'read-only' })),
    spec: {
      volumes: [hostPath('plain'), hostPath('read-only'), claim('claim'), claim('read-only-claim', true)],
    },
  })
  const sources = { claims: Object.fromEntries(folders) }
  const before = await stage.run(pod, sources)
  await ready(before)
  await before.evict()
  t.equal((await stage.manifests()).length, 1, 'a checkpoint was taken')
  for (const folder of folders.values()) appendFileSync(join(folder, 'data'), byAnother)
  const after = await stage.run(pod, sources)
  await restored(after)
  await after.waitForLog(application, /^read=\/plain\/data: \(\d+, 7100\)$/, { deadlineMs })
  await poll('it to go on', deadlineMs, () => ticks(after).length > 3 || undefined)
  t.ok((ticks(after)[0] ?? 0) > (ticks(before).at(-1) ?? Infinity), 'from where it was')
  for (const [name, folder] of folders) {
    t.equal(readFileSync(join(folder, 'data'), 'utf8'), first + byAnother, name)
    t.same(readdirSync(folder), ['data'])
  }
})

t.test(
  'a log that others write to keeps every line, and one of the application’s own goes on where it was',
  async (t) => {
    const stage = await openStage(t, { base: await pythonImage(), programs: ['holding.py'] })
    const folder = folderOf(stage, 'logs')
    let line = 0
    const other = setInterval(() => appendFileSync(join(folder, 'shared'), `other ${++line}\n`), 20)
    t.teardown(() => clearInterval(other))
    const pod = podOf({
      command: ['python3', '/app/holding.py', 'append=/logs/shared', 'append=/logs/own'],
      volumeMounts: [{ name: 'logs', mountPath: '/logs' }],
      spec: { volumes: [{ name: 'logs', hostPath: { path: folder } }] },
    })
    const before = await stage.run(pod)
    await ready(before)
    t.match(await askControl(before, { afterwards: 'resume' }), { [application]: { outcome: 'taken' } })
    const atCheckpoint = ticks(before).at(-1) ?? 0
    await before.waitForLog(application, new RegExp(`^tick ${atCheckpoint + 10}$`), { deadlineMs })
    await before.crash()
    const after = await stage.run(pod)
    await restored(after)
    const last = ticks(before).at(-1) ?? 0
    await after.waitForLog(application, new RegExp(`^tick ${last + 10}$`), { deadlineMs })
    clearInterval(other)
    const lines = (name: string) => readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1)
    const others = lines('shared').filter((text) => text.startsWith('other '))
    t.same(
      others,
      Array.from({ length: line }, (_, index) => `other ${index + 1}`),
    )
    const own = lines('own')
    t.same(
      own,
      Array.from({ length: own.length }, (_, index) => `app ${index + 1}`),
      'each line once',
    )
    const tails = readdirSync(folder).filter((name) => name.includes('.reprieve-tail-'))
    t.equal(tails.length, 1, 'what was cut off is kept')
    t.match(tails[0], /^own\.reprieve-tail-/)
  },
)

t.test('another volume at the same path does not pass for the old one', async (t) => {
  const stage = await openStage(t, { base: await pythonImage(), programs: ['holding.py'] })
  const [old, other] = [folderOf(stage, 'old'), folderOf(stage, 'other')]
  writeFileSync(join(old, 'data'), 'short\n')
  const pod = podOf({
    command: ['python3', '/app/holding.py', 'append=/volume/data'],
    volumeMounts: [{ name: 'volume', mountPath: '/volume' }],
    spec: { volumes: [{ name: 'volume', persistentVolumeClaim: { claimName: 'claim' } }] },
  })
  const before = await stage.run(pod, { claims: { claim: old } })
  await ready(before)
  await before.evict()
  const after = await stage.run(pod, { claims: { claim: other } })
  await ready(after)
  const { containers } = await statusOf(after)
  t.match(containers[0]?.rejected, [
    { reason: 'unfit-files', detail: /\/volume\/data: another file lies in its place/ },
  ])
  t.ok(readFileSync(join(other, 'data'), 'utf8').startsWith(first))
  t.same(readdirSync(other), ['data'])
})
