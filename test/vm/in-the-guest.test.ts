/** Runs test files inside a virtual machine, one guest for all of them: each is a subtest here, with every assertion of its own. */
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { chosenFiles } from './files.ts'
import { environmentForGuest, testCommand } from './guest-tests.ts'
import { Machine } from './machine.ts'

/** The runner's own time-out, less what it takes to tell what the guest said last. */
const endMs = performance.now() + (Number(process.env.TAP_TIMEOUT ?? 900) - 60) * 1000

const machine = await Machine.boot()
t.teardown(() => machine.end())
const { bootMs, kernel, options } = machine
t.comment(`${kernel}, ${options.accelerator}, ${options.processors} processors, ready after ${(bootMs / 1000).toFixed(1)} s`) // prettier-ignore

/** What a process ends with that died of a segmentation fault. */
const segmentationFault = 139
const mostStarts = 3

/**
 * Node still dies now and then of the emulator as it starts (guest-tests.ts), before it has said a word: then, and only then, it is started again,
 * and that is told. What has said anything is judged as it is.
 */
async function begin(file: string, deadlineMs: number) {
  for (let attempt = 1; ; attempt++) {
    const run = machine.run(testCommand(file), { deadlineMs, environment: environmentForGuest(process.env, deadlineMs) }) // prettier-ignore
    run.stderr.pipe(process.stderr, { end: false })
    await once(run.stdout, 'readable')
    if (run.stdout.readableLength > 0 || attempt === mostStarts) return run
    if ((await run.ended).code !== segmentationFault) return run
    t.comment(`${file}: Node died as it started, and is started again`)
  }
}

for (const file of chosenFiles(process.env.REPRIEVE_VM_FILES ?? '')) {
  const deadlineMs = Math.max(1000, Math.round(endMs - performance.now()))
  // The runner takes the whole for ended where nothing is under way, so this is before the first word.
  const said = new PassThrough()
  const judged = t.stdin(file, { tapStream: said, timeout: deadlineMs + 60_000 })
  const run = await begin(file, deadlineMs)
  run.stdout.pipe(said)
  await judged
  const { code, timedOut, wallMs } = await run.ended
  t.equal(timedOut ? 'timed out' : code, 0, `${file} ends with code 0, after ${(wallMs / 1000).toFixed(1)} s`)
}
