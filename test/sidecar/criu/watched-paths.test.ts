import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { container } from '../files/unpack-stage.ts'

async function watched(t: Test, count: number, name: string): Promise<unknown> {
  const { pid } = await container(t)
  const script = join(import.meta.dirname, 'watching.ts')
  const argv = [`--mount=/proc/${pid}/ns/mnt`, process.execPath, script, String(pid), String(count), name]
  return JSON.parse(execFileSync('nsenter', argv, { timeout: 60_000, encoding: 'utf8' }))
}

t.test('every folder that is watched is found, whatever its name, and no other', async (t) => {
  t.same(await watched(t, 1_000, `grün ${'long '.repeat(30)}\n`), { found: 1_000, right: true })
})

t.test('more than CRIU can be told of are an error that says so', async (t) => {
  t.match(await watched(t, 6_000, 'x'.repeat(200)), {
    error:
      /watches 6000 files by inotify; their paths take \d+ bytes, and a command line has room for 1048576/,
  })
})
