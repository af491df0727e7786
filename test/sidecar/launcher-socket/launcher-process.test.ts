import { spawn } from 'node:child_process'
import { copyFileSync, readlinkSync } from 'node:fs'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { launcherProcessOf, parseWords, ticksNow } from '../../../sidecar/launcher-socket/launcher-process.ts'
import { readStatNow } from '../../../src/process-stat.ts'
import { launcherPath } from '../../launcher/launcher.ts'
import { program } from '../stand-ins.ts'

const source = new URL('../../../sidecar/launcher-socket/launcher-process.ts', import.meta.url).href
const words = ['run', '--container=app', '--', 'true']

/** A pod's process namespace, and the folder of its launchers. */
async function pod(t: Test) {
  const folder = t.testdir({})
  copyFileSync(launcherPath, `${folder}/launcher-0123456789ab`)
  const unshare = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child', 'sleep', '100']
  const { pid: outside } = await program(t, unshare, (pid) => childOf(pid, 'sleep'))
  const pid = childOf(outside, 'sleep') ?? 0
  const entering = ['nsenter', `--target=${pid}`, '--pid', '--mount']
  return { folder, launcher: `${folder}/launcher-0123456789ab`, entering }
}

function childOf(pid: number, name: string): number | undefined {
  for (let child = pid + 1; child < pid + 50; child++) {
    const stat = readStatNow(child)
    if (stat?.parent === pid && stat.name === name) return child
  }
  return undefined
}

/** What the sidecar, a process of the pod, makes of each other process of the pod. */
async function seen(entering: string[], folder: string, ticks = 'ticksNow()'): Promise<unknown[]> {
  const script = `
    import { readdirSync } from 'node:fs'
    const { launcherProcessOf, ticksNow } = await import(${JSON.stringify(source)})
    const pids = readdirSync('/proc').filter((name) => /^\\d+$/.test(name)).map(Number)
    const found = pids.map((pid) => launcherProcessOf(pid, ${JSON.stringify(folder)}, ${ticks}))
    console.log(JSON.stringify(found.filter(Boolean)))`
  const [file = '', ...argv] = [...entering, process.execPath, '--input-type=module', '-e', script]
  const child = spawn(file, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (chunk) => (text += String(chunk)))
  await once(child, 'close')
  return JSON.parse(text) as unknown[]
}

const hasLauncher = (pid: number) => childOf(pid, 'launcher-012345') !== undefined
const isUp = (name: string) => (pid: number) => readlinkSync(`/proc/${pid}/exe`).endsWith(name)
const container = ['unshare', '--mount']
process.env.REPRIEVE_PATIENCE_MS = '100000'
process.env.REPRIEVE_SOCKET = '/nonexistent/socket'

t.test('a launcher is what the runtime started from our file, in a container of its own', async (t) => {
  const { folder, launcher, entering } = await pod(t)
  await program(t, [...entering, ...container, launcher, ...words], hasLauncher)
  t.match(await seen(entering, folder), [{ mode: 'run', container: 'app' }])
  t.strictSame(await seen(entering, folder, 'ticksNow() - 100000'), [], 'it began after the connection')
  t.strictSame(await seen(entering, `${folder}/nowhere`), [], 'it is another file')
})

t.test('the same file is no launcher when an application runs it, nor in the sidecar', async (t) => {
  const { folder, launcher, entering } = await pod(t)
  const shell = [...entering, ...container, 'sh', '-c', `${launcher} ${words.join(' ')} & wait`]
  await program(t, shell, (pid) => {
    const sh = childOf(pid, 'sh')
    return sh !== undefined && childOf(sh, 'launcher-012345') !== undefined
  })
  await program(t, [...entering, launcher, ...words], hasLauncher)
  t.strictSame(await seen(entering, folder), [])
})

t.test('a process of the same user cannot trace a launcher', async (t) => {
  const { folder, launcher } = await pod(t)
  const asUser = ['setpriv', '--reuid=1000', '--regid=1000', '--clear-groups', '--inh-caps=-all']
  const { pid } = await program(t, [...asUser, launcher, ...words], isUp('launcher-0123456789ab'))
  const [file = '', ...argv] = [...asUser, 'cat', `/proc/${pid}/environ`]
  const [code] = (await once(spawn(file, argv, { stdio: 'ignore' }), 'exit')) as [number]
  t.not(code, 0)
  t.equal(launcherProcessOf(pid, folder, ticksNow()), undefined, 'it is a child of this test')
})

const parse = (...list: string[]) => parseWords(`${list.join('\0')}\0`)

t.test('the words of a launcher', async (t) => {
  t.strictSame(parse('launcher', 'run', '--container=app', '--', 'sh', '--container=b'), {
    mode: 'run',
    container: 'app',
  })
  t.strictSame(parse('x', 'prestop', '--container=app', '--budget-ms=1'), {
    mode: 'prestop',
    container: 'app',
  })
  for (const list of [
    [],
    ['launcher'],
    ['launcher', 'run'],
    ['launcher', 'run', '--container='],
    ['launcher', 'run', '--', '--container=app'],
    ['launcher', 'guard', '--container=app'],
  ])
    t.equal(parse(...list), undefined, list.join(' '))
})
