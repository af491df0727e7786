import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { container } from './unpack-stage.ts'

async function archived(t: Test, files: number, bytesEach: number, ...rest: (number | string)[]) {
  const { pid, checkpoint } = await container(t)
  const script = join(import.meta.dirname, 'archiving.ts')
  const words = [pid, '/reprieve/staging/app/id.fetched', files, bytesEach, ...rest].map(String)
  const argv = [`--mount=/proc/${pid}/ns/mnt`, process.execPath, script, ...words]
  const said = execFileSync('nsenter', argv, { timeout: 110_000, encoding: 'utf8' })
  return {
    outcome: JSON.parse(said) as { entries?: number; error?: string },
    tar: join(checkpoint, 'ephemeral.tar'),
  }
}

t.test('more files than a call takes arguments are archived', async (t) => {
  // Beside them their folders, and the two volumes' own.
  const { outcome } = await archived(t, 130_000, 0, 1e9)
  t.same(outcome, { entries: 130_000 + 130 + 2 })
})

t.test('what would not fit beside the memory is refused before any of it is written', async (t) => {
  const bytes = 1_000 * 4_096
  const { outcome, tar } = await archived(t, 1_000, 4_096, bytes - 1)
  t.match(outcome.error, `the changed files take ${bytes} bytes, and`)
  t.notOk(existsSync(tar))
  const fits = await archived(t, 1_000, 4_096, bytes)
  t.same(fits.outcome, { entries: 1_000 + 1 + 2 })
})

t.test('what is excluded takes no room and does not travel, but its folder does', async (t) => {
  const { outcome } = await archived(t, 1_500, 4_096, 500 * 4_096, '/reprieve/scratch/0')
  t.same(outcome, { entries: 500 + 2 + 2 })
})
