import t from 'tap'
import { applicationRange, asideRange } from '../../../sidecar/proc/pid-range.ts'
import { ProcessNumbers } from '../../../sidecar/proc/process-numbers.ts'
import { quietLog } from '../quiet-log.ts'

function recorded() {
  const set: number[] = []
  const numbers = new ProcessNumbers(quietLog, async (pid) => {
    set.push(pid)
    return true
  })
  return { numbers, set }
}

/** Above the range of this machine's own processes, which are counted as living. */
const wanted = Array.from({ length: 20_000 }, (_, index) => 10_001 + index)

t.test('the pod counts on where no checkpoint needs the numbers, until its container runs', async (t) => {
  const { numbers, set } = recorded()
  numbers.want('one', wanted)
  await numbers.moveOn()
  t.ok((set[0] ?? 0) >= 30_000, 'above all that are wanted')
  await numbers.look(15_000)
  t.equal(set.length, 2, 'a pod that counts elsewhere is moved on')
  numbers.settled('one')
  await numbers.look(15_000)
  t.equal(set.length, 2, 'which is nobody’s loss when the container runs')
})

t.test(
  'a pod that counts beyond the range is brought back: the next node may have fewer numbers',
  async (t) => {
    const { numbers, set } = recorded()
    await numbers.look(200)
    t.strictSame(set, [], 'before the first application nothing is moved')
    await numbers.look(20_000)
    t.strictSame(set, [])
    for (const last of [applicationRange.to - 100, 32_000, 4_000_000, 400]) await numbers.look(last)
    t.equal(set.length, 4)
    t.ok(set.every((pid) => pid >= applicationRange.from && pid < applicationRange.to))
  },
)

t.test('while a container is started again the pod counts aside', async (t) => {
  const { numbers, set } = recorded()
  await numbers.moveAside()
  await numbers.look(asideRange.from + 5)
  t.strictSame(set, [asideRange.from])
  await numbers.look(400)
  t.strictSame(set, [asideRange.from, asideRange.from], 'also when its numbers have run out')
  numbers.settled('one')
  await numbers.look(asideRange.from + 5)
  t.ok((set[2] ?? 0) < applicationRange.to, 'until it runs')
})
