import t, { type Test } from 'tap'
import { ContainerKeeper } from '../../../sidecar/container/keeper.ts'
import { Dispatcher } from '../../../sidecar/launcher-socket/dispatcher.ts'
import type { LauncherProcess } from '../../../sidecar/launcher-socket/launcher-process.ts'
import { listenForLaunchers } from '../../../sidecar/launcher-socket/launcher-server.ts'
import { isAliveNow } from '../../../sidecar/proc/process-tree.ts'
import { PrestopTrigger } from '../../../sidecar/triggers/prestop/trigger.ts'
import { quietLog } from '../quiet-log.ts'
import {
  containerPlan,
  peer as connect,
  shortFolder,
  sleeper,
  standInStore,
  surroundings,
} from '../stand-ins.ts'
import { until } from '../../until.ts'

async function start(t: Test) {
  const keeper = new ContainerKeeper(surroundings(standInStore()), containerPlan)
  const keepers = new Map([['app', keeper]])
  const prestop = new PrestopTrigger(quietLog)
  await prestop.start(keepers)
  const path = `${shortFolder(t)}/s.sock`
  const dispatcher = new Dispatcher(keepers, prestop, quietLog)
  // What the kernel says of the next connection (launcher-process.test.ts asks the real one).
  let next: LauncherProcess | undefined
  const peersOf = async (sockets: readonly unknown[]) => sockets.map(() => next)
  const server = await listenForLaunchers(path, dispatcher, peersOf, quietLog)
  t.teardown(() => server.close())
  const by = async (mode: 'run' | 'prestop', pid: number, container = 'app') => {
    next = { mode, pid, container }
    return connect(t, path)
  }
  return { keeper, by, launcher: (pid: number) => by('run', pid), hook: (pid = 2) => by('prestop', pid) }
}
const run = (pid: number, rest: string) => `run container=app pid=${pid} launcher=unknown ${rest}\n`

t.test('a launcher of the pod reaches the keeper of its container', async (t) => {
  const { keeper, launcher } = await start(t)
  const child = await sleeper(t, 'elsewhere')
  const { pid } = child
  const { socket } = await launcher(pid)
  socket.write(run(pid, `state=running root=${pid}`))
  await until('the keeper', () => keeper.status.state.at === 'running')
  // Not believed while the application is there to be seen.
  const liar = await launcher(pid)
  liar.socket.write(run(pid, `state=running root=${pid}`) + 'gone code=0\n')
  await liar.ended
  t.equal(keeper.status.state.at, 'running')
  child.kill('SIGKILL')
  await until('its death', () => !isAliveNow(pid))
  socket.write('gone code=3\n')
  await until('the end', () => keeper.status.state.at === 'gone')
  t.strictSame(keeper.status.state, { at: 'gone', code: 3 })
})

t.test(
  'a process that names another one as itself, or another container as its own, is refused',
  async (t) => {
    const { keeper, by } = await start(t)
    const [mine, neighbour] = [await sleeper(t, 'elsewhere'), await sleeper(t, 'elsewhere')]
    const { pid } = mine
    for (const [who, line] of [
      // The launcher lives; another process says that its application has finished, which would erase the lineage.
      [by('run', neighbour.pid), run(pid, 'state=gone code=0')],
      [by('run', neighbour.pid), run(pid, 'state=waiting')],
      [by('run', pid, 'other'), run(pid, 'state=gone code=0')],
      [by('prestop', pid), run(pid, 'state=gone code=0')],
      [by('run', pid), run(pid, `state=running root=${neighbour.pid}`)],
      [by('run', pid), run(pid, `state=running root=${process.pid}`)],
      [by('run', pid), run(pid, 'state=running root=1')],
      [by('run', pid, 'other'), run(pid, 'state=waiting').replace('app', 'other')],
    ] as const) {
      const { socket, ended } = await who
      socket.write(line)
      await ended
      t.equal(keeper.status.state.at, 'absent', line)
    }
  },
)

t.test('one that was let in cannot change what it is, nor name another tree', async (t) => {
  const { keeper, launcher } = await start(t)
  const [mine, neighbour] = [await sleeper(t, 'elsewhere'), await sleeper(t, 'elsewhere')]
  for (const line of [
    run(mine.pid, `state=running root=${neighbour.pid}`),
    run(process.pid, 'state=waiting'),
    `started root=${neighbour.pid}\n`,
    'started root=1\n',
  ]) {
    const { socket, ended } = await launcher(mine.pid)
    socket.write(run(mine.pid, `state=running root=${mine.pid}`))
    socket.write(line)
    await ended
    t.match(keeper.status.state, { at: 'running', root: mine.pid }, line)
  }
})

t.test('nobody says anything before it said who it is', async (t) => {
  const { keeper, launcher } = await start(t)
  for (const line of ['gone code=0\n', 'adopted\n', 'started root=9\n', 'signal number=9 root=1\n']) {
    const { socket, ended } = await launcher(2)
    socket.write(line)
    await ended
  }
  t.equal(keeper.status.state.at, 'absent')
})

t.test('a preStop is answered, once for each connection', async (t) => {
  const { hook, by } = await start(t)
  const once = await hook()
  once.socket.write('prestop container=app budget-ms=5000\n')
  await until('the answer', () => once.said().includes('failed'))
  t.equal(once.said(), 'wait ms=5000\nfailed reason=not-running\n')
  once.socket.write('prestop container=app budget-ms=5000\n')
  await once.ended

  const unknown = await by('prestop', 2, 'other')
  unknown.socket.write('prestop container=other budget-ms=5000\n')
  await until('the answer', () => unknown.said() === 'failed reason=container-unknown\n')
})

t.test('nothing but the hook of a container ends it', async (t) => {
  const { keeper, launcher, by, hook } = await start(t)
  const [mine, neighbour] = [await sleeper(t, 'elsewhere'), await sleeper(t, 'elsewhere')]
  const { socket } = await launcher(mine.pid)
  socket.write(run(mine.pid, `state=running root=${mine.pid}`))
  await until('the keeper', () => keeper.status.state.at === 'running')
  for (const who of [launcher(mine.pid), by('prestop', neighbour.pid, 'other'), hook(neighbour.pid)]) {
    const { socket, ended, said } = await who
    socket.write('prestop container=app budget-ms=5000\n')
    await ended
    t.equal(said(), '')
  }
  t.equal(keeper.status.state.at, 'running')
})

t.test('nothing but a hook has anything fetched', async (t) => {
  const { launcher } = await start(t)
  const { socket, ended, said } = await launcher(2)
  socket.write('fetch url=https%3A%2F%2F127.0.0.1%3A1%2F\n')
  await ended
  t.equal(said(), '')
})

t.test('a hook that cannot be fetched is a hook that failed', async (t) => {
  const { hook } = await start(t)
  for (const line of [
    'fetch url=https%3A%2F%2F127.0.0.1%3A1%2F',
    'fetch url=%',
    'fetch url=nonsense',
    'fetch url=https%3A%2F%2F127.0.0.1%3A1%2F header=nocolon',
  ]) {
    const { socket, said } = await hook()
    socket.write(`${line}\n`)
    await until(line, () => said() === 'failed reason=hook-unreachable\n')
  }
  for (const url of ['file:///etc/passwd', 'https://169.254.169.254/latest', 'https://example.org/']) {
    const { socket, said } = await hook()
    socket.write(`fetch url=${encodeURIComponent(url)}\n`)
    await until(url, () => said() === 'failed reason=hook-elsewhere\n')
  }
})
