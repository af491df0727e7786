/** Benchmarks of cgroups of version 2: where this machine has them not, they run in the virtual machine of the tests. */
import { relative } from 'node:path'
import { cgroupVersion } from '../../test/harness/cgroup.ts'
import { Machine } from '../../test/vm/machine.ts'

const root = new URL('../../', import.meta.url).pathname

/** Runs the program in a guest, its words passed on, and ends this process with its code; returns where it runs well here. */
export async function inGuestUnlessHere(program: string, deadlineMs: number): Promise<void> {
  if (cgroupVersion === 2) return
  const machine = await Machine.boot()
  process.stderr.write(`bench: in a guest, ${machine.kernel}, ${machine.options.accelerator}\n`)
  try {
    const run = machine.run(['node', relative(root, program)], { deadlineMs })
    run.stdout.pipe(process.stdout, { end: false })
    run.stderr.pipe(process.stderr, { end: false })
    const { code } = await run.ended
    process.exitCode = code
  } finally {
    await machine.end()
  }
  process.exit()
}
