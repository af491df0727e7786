/**
 * Runs test files, or after `--` any command, in a fresh guest, and prints what they write as it comes: for work on one test.
 *   node test/vm/main.ts FILE... | -- COMMAND [ARG...]
 */
import { once } from 'node:events'
import { describeError } from '../../src/errors.ts'
import { environmentForGuest, testCommand } from './guest-tests.ts'
import { Machine } from './machine.ts'

const hour = 3_600_000
const [first, ...rest] = process.argv.slice(2)
if (first === undefined || (first === '--' && rest.length === 0)) {
  process.stderr.write('usage: node test/vm/main.ts FILE... | -- COMMAND [ARG...]\n')
  process.exit(2)
}
const commands = first === '--' ? [rest] : [first, ...rest].map(testCommand)
try {
  const machine = await Machine.boot()
  const { bootMs, kernel, options } = machine
  process.stderr.write(`${kernel}, ${options.accelerator}, ready after ${(bootMs / 1000).toFixed(1)} s\n`)
  for (const argv of commands) {
    const run = machine.run(argv, { deadlineMs: hour, environment: environmentForGuest(process.env, hour) })
    run.stdout.pipe(process.stdout, { end: false })
    run.stderr.pipe(process.stderr, { end: false })
    const closed = once(run.stdout, 'close')
    const { code, timedOut, wallMs } = await run.ended
    await closed
    process.stderr.write(`${argv.at(-1)}: ${timedOut ? 'timed out' : `exit code ${code}`} after ${(wallMs / 1000).toFixed(1)} s\n`) // prettier-ignore
    if (code !== 0) process.exitCode = 1
  }
  await machine.end()
} catch (error) {
  process.stderr.write(`${describeError(error)}\n`)
  process.exitCode = 1
}
