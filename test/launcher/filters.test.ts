import { join } from 'node:path'
import t from 'tap'
import { compile } from '../harness/native.ts'
import { program } from '../sidecar/stand-ins.ts'
import { readStatNow } from '../../src/process-stat.ts'
import { until } from '../until.ts'
import { launch } from './launcher.ts'

t.test('prints the filters of a process, the oldest first, and lets it go on', async (t) => {
  const filtered = await compile(join(import.meta.dirname, '../programs/filtered.c'))
  const own = launch(t, [], { file: filtered })
  while (!own.output().includes('ready'))
    await new Promise((resolve) => own.child.stdout?.once('data', resolve))
  const ending = await launch(t, ['filters', `--pid=${own.pid}`]).ended
  t.equal(ending.code, 0, ending.stderr)
  t.equal(ending.stdout, '0 060000000000ff7f\n2 2000000000000000060000000000ff7f\n')
  own.child.kill('SIGUSR1')
  t.match(await own.ended, { code: 0, stdout: /ready\nwent on\n/ })
})

t.test('a process whose filters refuse restart_syscall goes on after it', async (t) => {
  const own = launch(t, [], { file: await compile(join(import.meta.dirname, '../programs/no_restart.c')) })
  await until('its sleep', () => own.output().includes('ready') && readStatNow(own.pid)?.state === 'S')
  t.equal((await launch(t, ['filters', `--pid=${own.pid}`]).ended).code, 0)
  t.match(await own.ended, { code: 0, stdout: 'ready\nwas interrupted\n' })
})

t.test('names what it cannot read', async (t) => {
  const plain = await program(t, ['sleep', '100'])
  t.match(await launch(t, ['filters', `--pid=${plain.pid}`]).ended, { code: 125, stderr: /GET_FILTER 0/ })
  t.match(await launch(t, ['filters']).ended, { code: 125, stderr: /usage: launcher filters/ })
})
