/** Benchmarks of cgroups of version 2: where this machine has them not, they run in the virtual machine of the tests. */
import { once } from 'node:events'
import { relative } from 'node:path'
import { cgroupVersion } from '../../test/harness/cgroup.ts'
import { environmentForGuest, testCommand } from '../../test/vm/guest-tests.ts'
import { Machine } from '../../test/vm/machine.ts'
import { clearAtEnd } from './report.ts'

const root = new URL('../../', import.meta.url).pathname

/** Runs the program in a guest, its words passed on, and ends this process with its code; returns where it runs well here. */
export async function inGuestUnlessHere(program: string, deadlineMs: number): Promise<void> {
  if (cgroupVersion === 2) return
  const { code, said } = await runInGuest(program, [], deadlineMs)
  process.stdout.write(said)
  process.exit(code)
}

/** Runs a program of the repository in a guest of its own. What it says on its standard error is passed on. */
export async function runInGuest(
  program: string,
  words: readonly string[],
  deadlineMs: number,
): Promise<{ code: number; said: string }> {
  const machine = await Machine.boot()
  clearAtEnd(() => machine.end())
  process.stderr.write(`bench: in a guest, ${machine.kernel}, ${machine.options.accelerator}\n`)
  const environment = environmentForGuest(process.env, deadlineMs)
  const run = machine.run([...testCommand(relative(root, program)), ...words], { deadlineMs, environment })
  run.stderr.pipe(process.stderr, { end: false })
  let said = ''
  run.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const closed = once(run.stdout, 'close')
  const { code } = await run.ended
  await closed
  await machine.end()
  return { code, said }
}
