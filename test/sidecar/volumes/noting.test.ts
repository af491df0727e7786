/** What a container begins on, and what a later one brings there, with a real file tree. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { container } from '../files/unpack-stage.ts'

t.test('a later container brings what its neighbour has not touched since it began', async (t) => {
  const { pid } = await container(t)
  const enter = (...argv: string[]) => spawnSync('nsenter', [`--mount=/proc/${pid}/ns/mnt`, ...argv], { encoding: 'utf8', timeout: 60_000 }) // prettier-ignore
  enter('mount', '-t', 'tmpfs', 'none', '/mnt')
  const { stdout, stderr } = enter(process.execPath, join(import.meta.dirname, 'noting.ts'), String(pid))
  const file = (name: string) => `/${name}.file`
  const below = (...names: string[]) => names.map((name) => `/mnt/${name}.file`)
  const bytes = Buffer.from('日').toString('latin1')
  const all = ['kept', 'removed', 'removed before', 'written', bytes].map(file).sort()
  t.strictSame(
    JSON.parse(stdout || '{}'),
    {
      first: all,
      second: all,
      leave: below('removed', 'removed before', 'written').sort(),
      back: below('kept', 'new'),
    },
    stderr,
  )
})
