import { readFileSync } from 'node:fs'
import t from 'tap'
import { program } from '../sidecar/stand-ins.ts'
import { launch } from './launcher.ts'

const affinityOf = (pid: number) =>
  /^Cpus_allowed:\t[0,]*(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]

void t.test('gives each thread the processors of its mask, and names those that it cannot', async (t) => {
  const [one, other] = [await program(t, ['sleep', '100']), await program(t, ['sleep', '100'])]
  const kept = affinityOf(other.pid ?? 0)
  const words = [`${other.pid}:80000000,${'00000000,'.repeat(254)}00000000`, `${one.pid}:00000000,00000001`]
  const ending = await launch(t, ['affinity', ...words]).ended
  t.equal(ending.code, 0)
  t.match(ending.stderr, new RegExp(`sched_setaffinity of ${other.pid}: Invalid argument`))
  t.equal(affinityOf(one.pid ?? 0), '1')
  t.equal(affinityOf(other.pid ?? 0), kept, 'a processor that no machine has')
})

void t.test('refuses what is no mask', async (t) => {
  for (const word of ['1', '1:', '1:g', 'x:1', `1:${'0'.repeat(2049)}`]) {
    const ending = await launch(t, ['affinity', word]).ended
    t.equal(ending.code, 125, word)
    t.match(ending.stderr, /usage: launcher affinity TID:MASK/)
  }
})
