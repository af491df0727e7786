import t from 'tap'
import { vitalsOf } from '../../../sidecar/proc/vitals.ts'
import { program, sleeper } from '../stand-ins.ts'
import { until } from '../../until.ts'

t.test('a program that works uses time, one that sleeps does not', async (t) => {
  const busy = await program(t, ['sh', '-c', 'while :; do :; done'])
  const before = (await vitalsOf(busy.pid))?.cpuMs ?? 0
  await until('it to have used time', async () => ((await vitalsOf(busy.pid))?.cpuMs ?? 0) >= before + 50)
  const idle = await sleeper(t, 'here')
  const first = await vitalsOf(idle.pid)
  await new Promise((resolve) => setTimeout(resolve, 100))
  t.strictSame(await vitalsOf(idle.pid), first)
  t.ok((first?.memoryBytes ?? 0) > 0)
})

t.test('what children used counts, also when they are gone', async (t) => {
  const loop = 'i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done'
  const parent = await program(t, ['sh', '-c', `sh -c '${loop}'; echo done; exec sleep 100`])
  let said = ''
  parent.stdout?.on('data', (chunk) => (said += String(chunk)))
  await until('the child to have ended', () => said.includes('done'))
  t.ok(((await vitalsOf(parent.pid))?.cpuMs ?? 0) >= 10)
})

const ignoring = (before: string) => `import os, signal, time
parent = os.getpid()
${before}signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while os.getpid() == parent or os.getppid() == parent: time.sleep(0.05)`

t.test('what children used is lost where nobody waits for them, and that is known', async (t) => {
  const usual = await sleeper(t, 'here')
  t.equal((await vitalsOf(usual.pid))?.forgetsChildren, false)
  const careless = await program(t, ['python3', '-c', ignoring('')])
  await until('it to ignore the signal', async () => (await vitalsOf(careless.pid))?.forgetsChildren)
  const parent = await program(t, ['python3', '-c', ignoring('if os.fork() > 0: os.wait()\n')])
  await until('its child to ignore it', async () => (await vitalsOf(parent.pid))?.forgetsChildren)
})

t.test('what is gone has none', async (t) => {
  t.equal(await vitalsOf(2 ** 22 + 1), undefined)
})
