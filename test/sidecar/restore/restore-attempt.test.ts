import t from 'tap'
import { lostNumber } from '../../../sidecar/restore/free-numbers.ts'
import { ReprieveError } from '../../../src/errors.ts'
import type { CheckpointManifest } from '../../../src/manifest.ts'
import { isAlive, shareMounts } from '../../../sidecar/proc/process-tree.ts'
import { attemptRestore, clearContainer } from '../../../sidecar/restore/restore-attempt.ts'
import { containerPlan, program, sleeper, standInStore, surroundings } from '../stand-ins.ts'
import { until } from '../../until.ts'

const manifestOf = (pids: number[]): CheckpointManifest => ({
  id: '20260101T000000000Z-0123456789abcdef',
  slot: { lineage: 'l', container: 'app' },
  createdAt: '2026-01-01T00:00:00.000Z',
  trigger: 'manual',
  reason: '',
  pod: { name: '', uid: '', node: '' },
  fits: { fingerprint: 'f', architecture: 'x64', launcher: 'l' },
  made: { kernel: '', criu: '', reprieve: '' },
  process: { rootPid: pids[0] ?? 0, pids, stdio: [] },
  externalFiles: [],
  timings: { frozenMs: 0, dumpMs: 0, archiveMs: 0 },
  version: 1,
  files: [],
  totalBytes: 0,
})

t.test('whoever has the numbers of a checkpoint is left alone', async (t) => {
  const [launcher, neighbour] = [await sleeper(t, 'elsewhere'), await sleeper(t, 'elsewhere')]
  const target = { plan: containerPlan, launcherPid: launcher.pid }
  await t.rejects(
    attemptRestore(
      surroundings(standInStore()),
      target,
      { manifest: manifestOf([neighbour.pid]), folder: t.testdir({ criu: {} }) },
      { adopt: async () => true, signal: new AbortController().signal, patienceMs: 100 },
    ),
    { code: 'numbers-taken', message: `process numbers are taken in this pod: ${neighbour.pid} (sleep)` },
  )
  t.equal(await isAlive(neighbour.pid), true)
})

t.test('a neighbour that took the root’s number is not ended with a failed attempt', async (t) => {
  const launcher = await sleeper(t, 'elsewhere')
  // With mounts of its own, as each container has.
  const neighbour = await program(t, ['unshare', '--mount', 'sleep', '50'])
  const pid = neighbour.pid ?? 0
  await until('its mounts', () => !shareMounts(pid, launcher.pid))
  const manifest = manifestOf([])
  manifest.process.rootPid = pid
  await t.rejects(
    attemptRestore(
      surroundings(standInStore()),
      { plan: containerPlan, launcherPid: launcher.pid },
      { manifest, folder: t.testdir({ criu: {} }) },
      { adopt: async () => true, signal: new AbortController().signal },
    ),
    { code: 'restore-failed' },
  )
  t.equal(await isAlive(pid), true)
})

t.test('a number that is free soon is waited for', async (t) => {
  const [launcher, neighbour] = [await sleeper(t, 'elsewhere'), await sleeper(t, 'elsewhere')]
  setTimeout(() => process.kill(neighbour.pid, 'SIGKILL'), 200)
  await t.rejects(
    attemptRestore(
      surroundings(standInStore()),
      { plan: containerPlan, launcherPid: launcher.pid },
      { manifest: manifestOf([neighbour.pid]), folder: t.testdir({ criu: {} }) },
      { adopt: async () => true, signal: new AbortController().signal },
    ),
    { message: 'the restore failed' },
    'the attempt gets as far as the files',
  )
})

t.test('clears what an earlier life left, but not what the launcher started itself', async (t) => {
  const left = await sleeper(t, 'elsewhere')
  const launcher = await program(t, ['sh', '-c', 'sleep 50 & echo $!; exec sleep 50'])
  let said = ''
  launcher.stdout?.on('data', (chunk) => {
    said += String(chunk)
  })
  await until('its child', () => said.includes('\n'))
  const started = Number(said)
  await clearContainer(launcher.pid, [launcher.pid, started, left.pid])
  t.strictSame(await Promise.all([launcher.pid, started, left.pid].map(isAlive)), [true, true, false])
  process.kill(started, 'SIGKILL')
})

const saying = (message: string) => new ReprieveError('restore-failed', message)

t.test(
  'what CRIU could not begin for a neighbour is tried again, and what it cannot restore is not',
  async (t) => {
    t.ok(lostNumber(saying("(criu/cr-restore.c:1265): Can't fork for 23129: File exists")))
    t.ok(lostNumber(saying('kerndat_vdso_preserves_hint failed when initializing kerndat.')))
    t.notOk(lostNumber(saying('tty: Failed to set group 13622 on 3: No such process')))
    t.notOk(lostNumber(new ReprieveError('store-failed', 'failed when initializing kerndat')))
  },
)
