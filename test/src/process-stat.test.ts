import { copyFileSync } from 'node:fs'
import t from 'tap'
import { parseStat, readStat, readStatNow } from '../../src/process-stat.ts'
import { program } from '../sidecar/stand-ins.ts'
import { until } from '../until.ts'

const nobody = 2 ** 22 + 1

/** A line of the kernel's, whose fields from the fourth on are their own numbers (proc_pid_stat(5)). */
const line = (name: string) => `42 (${name}) S ${Array.from({ length: 49 }, (_, at) => at + 4).join(' ')}\n`

for (const name of ['sleep', 'a) R 1 (', ') Z 1', '', 'two\nlines', '((('])
  t.test(`each field is found behind the name ${JSON.stringify(name)}`, async (t) => {
    t.strictSame(parseStat(line(name)), {
      name,
      state: 'S',
      parent: 4,
      group: 5,
      session: 6,
      threads: 20,
      cpuMs: (14 + 15) * 10,
      childrenCpuMs: (16 + 17) * 10,
      startTicks: 22,
    })
  })

t.test('a text that is none of the kernel’s is nothing', async (t) => {
  for (const text of ['', '42', '42 (sleep', 'S 4 5 6']) t.equal(parseStat(text), undefined)
})

t.test('a process is read as it is, at once or soon', async (t) => {
  const folder = t.testdir({})
  copyFileSync('/bin/sleep', `${folder}/a) R 1 (`)
  const { pid } = await program(t, [`${folder}/a) R 1 (`, '50'])
  await until('it to sleep', async () => (await readStat(pid))?.state === 'S')
  t.match(await readStat(pid), { name: 'a) R 1 (', state: 'S', parent: process.pid, threads: 1 })
  t.strictSame(readStatNow(pid), await readStat(pid))
})

t.test('a process that is not there is nothing', async (t) => {
  t.equal(readStatNow(nobody), undefined)
  t.equal(await readStat(nobody), undefined)
})
