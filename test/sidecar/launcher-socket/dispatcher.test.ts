import t, { type Test } from 'tap'
import { ContainerKeeper } from '../../../sidecar/container/keeper.ts'
import { Dispatcher } from '../../../sidecar/launcher-socket/dispatcher.ts'
import { listenForLaunchers } from '../../../sidecar/launcher-socket/launcher-server.ts'
import { isAliveNow, shareMounts } from '../../../sidecar/proc/process-tree.ts'
import { PrestopTrigger } from '../../../sidecar/triggers/prestop/trigger.ts'
import { quietLog } from '../quiet-log.ts'
import { containerPlan, peer, shortFolder, sleeper, standInStore, surroundings } from '../stand-ins.ts'
import { until } from '../../until.ts'

// A launcher is told by its program (process-tree.test.ts); here, whatever lives in a container of its own is one.
const isLauncher = (pid: number) => pid > 1 && !shareMounts(pid, process.pid) && isAliveNow(pid)

async function start(t: Test) {
  const keeper = new ContainerKeeper(surroundings(standInStore()), containerPlan)
  const keepers = new Map([['app', keeper]])
  const prestop = new PrestopTrigger(quietLog)
  await prestop.start(keepers)
  const path = `${shortFolder(t)}/s.sock`
  const dispatcher = new Dispatcher(keepers, prestop, isLauncher, quietLog)
  const server = await listenForLaunchers(path, dispatcher, quietLog)
  t.teardown(() => server.close())
  return { keeper, path }
}
const run = (pid: number, rest: string) => `run container=app pid=${pid} launcher=unknown ${rest}\n`

t.test('a launcher of the pod reaches the keeper of its container', async (t) => {
  const { keeper, path } = await start(t)
  const child = await sleeper(t, 'elsewhere')
  const { pid } = child
  const { socket } = await peer(t, path)
  socket.write(run(pid, `state=running root=${pid}`))
  await until('the keeper', () => keeper.status.state.at === 'running')
  // Not believed while the application is there to be seen.
  const liar = await peer(t, path)
  liar.socket.write(run(pid, `state=running root=${pid}`) + 'gone code=0\n')
  await liar.ended
  t.equal(keeper.status.state.at, 'running')
  child.kill('SIGKILL')
  await until('its death', () => !isAliveNow(pid))
  socket.write('gone code=3\n')
  await until('the end', () => keeper.status.state.at === 'gone')
  t.strictSame(keeper.status.state, { at: 'gone', code: 3 })
})

t.test('who names a process that is none of its container is turned away', async (t) => {
  const { keeper, path } = await start(t)
  const [mine, neighbour, sidecars] = [
    await sleeper(t, 'elsewhere'),
    await sleeper(t, 'elsewhere'),
    await sleeper(t, 'here'),
  ]
  for (const line of [
    run(1, 'state=waiting'),
    run(process.pid, 'state=waiting'),
    run(sidecars.pid, 'state=waiting'),
    run(2 ** 22 + 1, 'state=waiting'),
    run(mine.pid, `state=running root=${neighbour.pid}`),
    run(mine.pid, `state=running root=${process.pid}`),
    run(mine.pid, 'state=running root=1'),
    run(mine.pid, 'state=waiting').replace('app', 'other'),
  ]) {
    const { socket, ended } = await peer(t, path)
    socket.write(line)
    await ended
    t.equal(keeper.status.state.at, 'absent', line)
  }
})

t.test('one that was let in cannot change what it is, nor name another tree', async (t) => {
  const { keeper, path } = await start(t)
  const [mine, neighbour] = [await sleeper(t, 'elsewhere'), await sleeper(t, 'elsewhere')]
  for (const line of [
    run(mine.pid, `state=running root=${neighbour.pid}`),
    run(process.pid, 'state=waiting'),
    `started root=${neighbour.pid}\n`,
    'started root=1\n',
  ]) {
    const { socket, ended } = await peer(t, path)
    socket.write(run(mine.pid, `state=running root=${mine.pid}`))
    socket.write(line)
    await ended
    t.match(keeper.status.state, { at: 'running', root: mine.pid }, line)
  }
})

t.test('nobody says anything before it said who it is', async (t) => {
  const { keeper, path } = await start(t)
  for (const line of ['gone code=0\n', 'adopted\n', 'started root=9\n', 'signal number=9 root=1\n']) {
    const { socket, ended } = await peer(t, path)
    socket.write(line)
    await ended
  }
  t.equal(keeper.status.state.at, 'absent')
})

t.test('a preStop is answered, once for each connection', async (t) => {
  const { path } = await start(t)
  const once = await peer(t, path)
  once.socket.write('prestop container=app budget-ms=5000\n')
  await until('the answer', () => once.said().includes('failed'))
  t.equal(once.said(), 'wait ms=5000\nfailed reason=not-running\n')
  once.socket.write('prestop container=app budget-ms=5000\n')
  await once.ended

  const unknown = await peer(t, path)
  unknown.socket.write('prestop container=other budget-ms=5000\n')
  await until('the answer', () => unknown.said() === 'failed reason=container-unknown\n')
})

t.test('a hook that cannot be fetched is a hook that failed', async (t) => {
  const { path } = await start(t)
  for (const line of [
    'fetch url=https%3A%2F%2F127.0.0.1%3A1%2F',
    'fetch url=%',
    'fetch url=nonsense',
    'fetch url=file%3A%2F%2F%2Fetc%2Fpasswd',
    'fetch url=https%3A%2F%2F127.0.0.1%3A1%2F header=nocolon',
  ]) {
    const { socket, said } = await peer(t, path)
    socket.write(`${line}\n`)
    await until(line, () => said() === 'failed reason=hook-unreachable\n')
  }
})
