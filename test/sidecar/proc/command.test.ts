import t from 'tap'
import { commandError, mustRun, runCommand } from '../../../sidecar/proc/command.ts'
import { quietLog as log } from '../quiet-log.ts'

const soon = { log, deadlineMs: 10_000 }

t.test('returns exit status and both outputs', async (t) => {
  const result = await runCommand(['sh', '-c', 'echo out; echo err >&2; exit 3'], soon)
  t.match(result, { outcome: 'exited', code: 3, signal: null, stdout: 'out\n', stderr: 'err\n' })
})

t.test('tells a death by signal from an exit', async (t) => {
  t.match(await runCommand(['sh', '-c', 'kill -TERM $$'], soon), {
    outcome: 'killed',
    code: null,
    signal: 'SIGTERM',
  })
})

t.test('kills what runs past its deadline', async (t) => {
  const result = await runCommand(['sleep', '60'], { log, deadlineMs: 100 })
  t.match(result, { outcome: 'deadline', signal: 'SIGKILL' })
  t.ok(result.ms < 1_000, `after ${result.ms} ms`)
})

t.test('does not wait past its deadline for a grandchild that holds the output', async (t) => {
  const result = await runCommand(['sh', '-c', 'sleep 20 & exit 0'], { log, deadlineMs: 100 })
  t.match(result, { outcome: 'deadline', code: 0 })
  t.ok(result.ms < 5_000, `after ${result.ms} ms`)
})

t.test('kills what is aborted, before it began and while it runs', async (t) => {
  t.match(await runCommand(['sleep', '60'], { ...soon, signal: AbortSignal.abort() }), { outcome: 'aborted' })
  t.match(await runCommand(['sleep', '60'], { ...soon, signal: AbortSignal.timeout(50) }), {
    outcome: 'aborted',
  })
})

t.test('leaves no listener on a signal that outlives it', async (t) => {
  const signal = new AbortController().signal
  let left = 0
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = (...args: Parameters<typeof add>) => (left++, add(...args))
  signal.removeEventListener = (...args: Parameters<typeof remove>) => (left--, remove(...args))
  await runCommand(['true'], { ...soon, signal })
  t.equal(left, 0)
})

t.test('says when a command cannot be started, and asks nobody to feed it', async (t) => {
  let fed = false
  const started = () => {
    fed = true
  }
  t.match(await runCommand(['/nowhere/to/be/found'], { ...soon, started }), {
    outcome: 'unstartable',
    error: { code: 'ENOENT' },
  })
  t.equal(fed, false)
  t.match(await runCommand(['a\0b'], soon), { outcome: 'unstartable' })
  t.match(await runCommand([], soon), { outcome: 'unstartable' })
})

t.test('keeps at most 64 KiB of each output, and lets the rest flow by', async (t) => {
  const result = await runCommand(['sh', '-c', 'head -c 1000000 /dev/zero | tr "\\0" x'], soon)
  t.equal(result.outcome, 'exited')
  t.equal(result.stdout.length, 64 * 1024)
})

t.test('does not wait for an extra channel that a grandchild holds', async (t) => {
  const stdio: ['ignore', 'ignore', 'ignore', 'pipe'] = ['ignore', 'ignore', 'ignore', 'pipe']
  const result = await runCommand(['sh', '-c', 'sleep 20 & exit 0'], { ...soon, stdio })
  t.match(result, { outcome: 'exited', code: 0 })
  t.ok(result.ms < 5_000, `after ${result.ms} ms`)
})

t.test('mustRun lets pass only the codes that are fine', async (t) => {
  t.equal((await mustRun(['sh', '-c', 'exit 1'], { ...soon, okCodes: [0, 1] })).code, 1)
  await t.rejects(mustRun(['sh', '-c', 'echo a; echo why >&2; exit 2'], soon), {
    code: 'command-failed',
    message: 'sh exited with 2: why',
    data: { code: 2, stdout: 'a\n' },
  })
  await t.rejects(mustRun(['sh', '-c', 'kill -9 $$'], soon), { message: 'sh was killed by SIGKILL' })
  await t.rejects(mustRun(['/nowhere'], soon), { message: '/nowhere could not be started' })
})

t.test('an error names the tool, not the linker that starts it, and the last words only', async (t) => {
  const argv = ['/reprieve/lib/ld.so', '/reprieve/bin/tar', '--create']
  const result = {
    outcome: 'deadline',
    code: null,
    signal: 'SIGKILL',
    stdout: '',
    isCut: false,
    ms: 12.4,
  } as const
  const error = commandError(argv, { ...result, stderr: 'one\ntwo\nthree\nfour\n' })
  t.equal(error.message, '/reprieve/bin/tar ran past its deadline after 12 ms: two | three | four')
})

t.test('a command whose output is longer than what is kept fails where all of it is wanted', async (t) => {
  const long = ['sh', '-c', 'head -c 70000 /dev/zero | tr "\\0" x']
  const result = await runCommand(long, soon)
  t.match(result, { outcome: 'exited', code: 0, isCut: true })
  t.equal(result.stdout.length, 65_536)
  await t.rejects(mustRun(long, soon), {
    code: 'command-failed',
    message: /sh wrote more than 65536 characters/,
  })
  t.match(await mustRun(['sh', '-c', 'head -c 65536 /dev/zero'], soon), { isCut: false })
})

t.test('of a long error output its end is kept, which says why', async (t) => {
  const result = await runCommand(
    ['sh', '-c', '(head -c 70000 /dev/zero | tr "\\0" x; echo last) >&2; exit 1'],
    soon,
  )
  t.equal(result.stderr.length, 65_536)
  t.match(result.stderr, /xlast\n$/)
})
