/**
 * Programs that commit rows to volumes that outlive the pod, crashed at random instants after a periodic checkpoint. Each store
 * then passes its own check, and holds every row that was committed, as if nobody had checkpointed its program.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { poll, sleep } from '../harness/deadline.ts'
import type { Pod } from '../harness/pod.ts'
import type { PodManifest } from '../harness/manifest.ts'
import { databaseImage } from '../images/debian.ts'
import { askControl, deadlineMs, numbersIn, openStage, podOf, sidecarEntries, soaking, type Stage } from './support.ts' // prettier-ignore

const rounds = { many: soaking ? 50 : 2, one: soaking ? 50 : 1 }
const longestMs = 2_000

/** `fresh`: once a row was committed behind the checkpoint it does not fit. `on`: it always fits. */
const kinds: Record<string, 'fresh' | 'on' | 'either'> = {
  'sqlite-wal': 'fresh',
  'sqlite-delete': 'fresh',
  'sqlite-truncate': 'fresh',
  'sqlite-persist': 'fresh',
  lmdb: 'fresh',
  leveldb: 'fresh',
  parquet: 'either',
  events: 'on',
  'two-log-writers': 'on',
  git: 'either',
}

const committed = (pod: Pod, kind: string) => numbersIn(pod, /^committed (\d+)$/, kind).at(-1) ?? 0
const damages = (pod: Pod, kind: string) =>
  pod.logLines(kind).flatMap(({ text }) => (/^damaged|Error/.test(text) ? [text] : []))

const container = (kind: string) => ({
  name: kind,
  image: 'app',
  command: ['python3', '/app/committing.py', kind, `/volume/${kind}`],
  volumeMounts: [{ name: 'volume', mountPath: '/volume' }],
})

/** A pod with a container for each kind of store, all on one volume. */
function podWith(stage: Stage, names: readonly string[], restore: 'latest' | 'never'): PodManifest {
  const path = join(stage.folder, 'volume')
  mkdirSync(path, { recursive: true })
  const pod = podOf({
    annotations: { restore, containers: names.join(',') },
    spec: { volumes: [{ name: 'volume', hostPath: { path } }] },
  })
  return { ...pod, spec: { ...pod.spec, containers: names.map(container) } }
}

/** What a start from the beginning finds holds all that was committed before. */
async function verify(t: Test, pod: Pod, kind: string, least: number): Promise<void> {
  const line = await poll(`${kind} to be looked at`, deadlineMs, () => {
    const found = pod.logLines(kind).find(({ text }) => /^(verified|damaged) /.test(text))
    return found?.text
  })
  const [, rows, max] = /^verified rows=(\d+) max=(\d+)$/.exec(line) ?? []
  t.ok(max !== undefined && Number(max) >= least, `${kind}: ${line}, at least ${least}`)
  t.equal(rows, max, `${kind}: no row is missing`)
}

async function round(
  t: Test,
  stage: Stage,
  names: readonly string[],
  least: Map<string, number>,
): Promise<void> {
  const before = await stage.run(podWith(stage, names, 'never'))
  for (const kind of names) {
    await verify(t, before, kind, least.get(kind) ?? 0)
    await poll(
      `${kind} to commit`,
      deadlineMs,
      () => committed(before, kind) > (least.get(kind) ?? 0) + 3 || undefined,
    )
  }
  const answers = await askControl(before, { afterwards: 'resume' })
  const atCheckpoint = new Map(names.map((kind) => [kind, committed(before, kind)]))
  for (const kind of names) t.match(answers[kind], { outcome: 'taken' }, kind)
  const delayMs = Math.random() * longestMs
  await sleep(delayMs)
  await before.crash()
  t.comment(`crashed ${Math.round(delayMs)} ms after the last of the checkpoints`)
  for (const kind of names) least.set(kind, committed(before, kind))
  const after = await stage.run(podWith(stage, names, 'latest'))
  for (const kind of names) {
    const how = await poll(`${kind} to go on or to begin`, deadlineMs, () =>
      sidecarEntries(after).find(
        ({ msg, container }) =>
          container === kind && /went on from its checkpoint|from its beginning/.test(msg),
      ),
    )
    const isOn = how.msg.includes('went on')
    const expected = kinds[kind] ?? 'either'
    if (expected === 'on') t.ok(isOn, `${kind} went on: ${JSON.stringify(how.rejected)}`)
    if (expected === 'fresh' && (least.get(kind) ?? 0) > (atCheckpoint.get(kind) ?? 0) + 1)
      t.match(ofNewest(how.rejected), [{ reason: 'unfit-files' }], `${kind} began anew`)
    if (!isOn) await verify(t, after, kind, least.get(kind) ?? 0)
    await poll(
      `${kind} to commit further`,
      deadlineMs,
      () => committed(after, kind) > (least.get(kind) ?? 0) || undefined,
    )
  }
  await after.crash()
  for (const kind of names) {
    t.same(damages(after, kind), [], `${kind}: nothing failed`)
    least.set(kind, Math.max(least.get(kind) ?? 0, committed(after, kind)))
  }
}

async function crash(t: Test, names: readonly string[], times: number): Promise<void> {
  const stage = await openStage(t, { base: await databaseImage(), programs: ['committing.py'] })
  const least = new Map<string, number>()
  for (let number = 1; number <= times; number++) await round(t, stage, names, least)
  const last = await stage.run(podWith(stage, names, 'never'))
  for (const kind of names) await verify(t, last, kind, least.get(kind) ?? 0)
}

// Programs that fork have a pod of their own: in one of many containers their processes' numbers are others' at the restore.
const forking = ['two-log-writers', 'git']

t.test('databases and event files lose no row that was committed', (t) =>
  crash(
    t,
    Object.keys(kinds).filter((kind) => !forking.includes(kind)),
    rounds.many,
  ),
)

for (const kind of forking)
  t.test(`${kind}: nothing that was committed is lost`, (t) => crash(t, [kind], rounds.one))

/** What is said of the generation that was left. Of older ones only that they are. */
function ofNewest(rejected: unknown): unknown[] {
  return (rejected as { reason: string }[]).filter(({ reason }) => reason !== 'left-behind')
}
