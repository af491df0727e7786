/**
 * Damaged examples for each parser of what a stranger wrote: it returns or refuses, at once, and keeps nothing. 20,000 for each in `make test`; a
 * million in `make soak` (REPRIEVE_SOAK), or as many as REPRIEVE_FUZZ_RUNS says. REPRIEVE_FUZZ_SEED begins elsewhere.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { sealJson } from '../../src/sealed-json.ts'
import { cpuMs } from '../cpu-time.ts'
import { diceOf, type Dice } from '../webhook/mutated-reviews.ts'
import { damagedBytes, damagedValue, pick } from './damage.ts'
import { targets, type Target } from './targets.ts'

const runs = Number(
  process.env.REPRIEVE_FUZZ_RUNS ?? (process.env.REPRIEVE_SOAK === '1' ? 1_000_000 : 20_000),
)
const firstSeed = Number(process.env.REPRIEVE_FUZZ_SEED ?? 1)
/** Of one input, which is some kilobytes: what hangs takes seconds, or for ever. */
const mostMs = 1_000
const mostGrowthMiB = 10
/** Errors of the program itself: no reader throws them for what it refuses. */
const crashes = [TypeError, RangeError, ReferenceError]

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

function usedMiB(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed / 2 ** 20
}

function damaged({ examples, form }: Target, dice: Dice): Buffer {
  const example = pick(examples, dice)
  if (form === undefined || (form === 'json' && dice(3) === 0)) return damagedBytes(example, dice)
  const value = damagedValue(JSON.parse(String(example)), dice)
  return form === 'sealed' ? sealJson(value ?? null) : Buffer.from(JSON.stringify(value) ?? '')
}

for (const target of targets)
  t.test(target.name, async (t) => {
    const own = Object.getOwnPropertyNames(Object.prototype).join()
    for (const example of target.examples) target.read(target.form === 'sealed' ? sealJson(JSON.parse(String(example))) : example)
    let [refused, before, slowestMs] = [0, 0, 0]
    for (let run = 0; run < runs; run++) {
      const seed = firstSeed + run
      const input = damaged(target, diceOf(seed))
      const begun = cpuMs()
      try {
        target.read(input)
      } catch (error) {
        refused++
        if (crashes.some((kind) => error instanceof kind)) {
          t.fail(`seed ${seed}: ${String(error)}`, { input: input.toString('latin1').slice(0, 2000), error })
          return
        }
      }
      slowestMs = Math.max(slowestMs, cpuMs() - begun)
      // What is compiled and cached on first use is there after a tenth of the way.
      if (run === Math.floor(runs / 10)) before = usedMiB()
    }
    const grownMiB = usedMiB() - before
    t.ok(slowestMs < mostMs, `the slowest took ${slowestMs.toFixed(1)} ms`)
    t.ok(grownMiB < mostGrowthMiB, `the heap grew by ${grownMiB.toFixed(1)} MiB`)
    t.equal(Object.getOwnPropertyNames(Object.prototype).join(), own, 'no prototype was touched')
    t.comment(`${runs} inputs from seed ${firstSeed}: ${refused} refused by an error`)
  }) // prettier-ignore
