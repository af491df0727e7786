/** What a container begins on, and what a later one brings there, with a real file tree. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { container } from '../files/unpack-stage.ts'
import { program } from '../stand-ins.ts'

const file = (name: string) => `/${name}.file`
const below = (...names: string[]) => names.map((name) => `/mnt/${name}.file`)
const isSleeping = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith('sleep')

/** A container with a volume at /mnt. */
async function containerWithVolume(t: Test) {
  const { pid } = await container(t)
  const inside = (...argv: string[]) => ['nsenter', `--mount=/proc/${pid}/ns/mnt`, ...argv]
  const run = (...argv: string[]) => {
    const [file = '', ...args] = inside(...argv)
    return spawnSync(file, args, { encoding: 'utf8', timeout: 60_000 })
  }
  run('mount', '-t', 'tmpfs', 'none', '/mnt')
  const note = (launcher: number, ...more: string[]) => run(process.execPath, join(import.meta.dirname, 'noting.ts'), String(launcher), ...more) // prettier-ignore
  return { pid, inside, run, note }
}

t.test('a later container brings what its neighbour has not touched since it began', async (t) => {
  const { pid, note } = await containerWithVolume(t)
  const { stdout, stderr } = note(pid)
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

t.test(
  'what the application had deleted stays where a neighbour uses it, also deep in a folder',
  async (t) => {
    const { inside, run, note } = await containerWithVolume(t)
    run('mkdir', '-p', '/mnt/used/deep', '/mnt/unused/deep')
    await delay(200)
    const launcher = await program(t, inside('sleep', '100'), isSleeping)
    await program(t, inside('unshare', '--mount', 'sleep', '100'), isSleeping)
    await delay(200)
    run('touch', '/mnt/used/deep/file of the neighbour')
    const { stdout, stderr } = note(launcher.pid, '/mnt/used', '/mnt/unused')
    t.strictSame(JSON.parse(stdout || '{}'), { leave: ['/mnt/used'], volumes: [] }, stderr)
  },
)
