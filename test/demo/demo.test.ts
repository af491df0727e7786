import { spawn } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { within } from '../harness/deadline.ts'
import { leftOver, lookFor, type Names } from './traces.ts'

const entry = join(import.meta.dirname, '../../demo/main.ts')
const runDeadlineMs = 150_000

type Run = { code: number | null; stdout: string; stderr: string; names: Names }

/** Runs the demo; `heard` gets what it has said so far, and may end it. */
async function runDemo(
  env: NodeJS.ProcessEnv,
  heard: (stdout: string, interrupt: () => void) => void = () => undefined,
): Promise<Run> {
  // A process group of its own, so that it can be interrupted as a terminal does it: every process of the group at once.
  const child = spawn(process.execPath, [entry], { env: { ...process.env, ...env }, detached: true })
  const run: Run = { code: null, stdout: '', stderr: '', names: { nodes: new Set(), folders: new Set() } }
  const interrupt = () => process.kill(-(child.pid ?? 0), 'SIGINT')
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    run.stdout += text
    lookFor(child.pid ?? 0, run.names)
    heard(run.stdout, interrupt)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (run.stderr += text))
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve))
  const code = await within(closed, runDeadlineMs)
  if (code === undefined) {
    child.kill('SIGKILL')
    throw new Error(`the demo did not end within ${runDeadlineMs} ms:\n${run.stdout}\n${run.stderr}`)
  }
  return { ...run, code }
}

t.test(
  'the replacement goes on at the very next step, ends as an undisturbed run does, and nothing is left',
  async (t) => {
    const { code, stdout, stderr, names } = await runDemo({ WORKLOAD: 'numpy' })
    t.equal(code, 0, stderr)
    const result = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>
    t.match(result, { workload: 'numpy', lostSteps: 0, repeatedSteps: 0, identicalResult: true })
    t.equal(result.firstStepAfter, Number(result.lastStepBefore) + 1)
    for (const measured of ['lastStepBefore', 'frozenMs', 'dumpBytes', 'restoreMs'])
      t.ok(Number(result[measured]) > 0, `${measured} was measured: ${String(result[measured])}`)
    t.equal(names.nodes.size, 1, 'one node was seen while it ran')
    t.equal(names.folders.size, 1, 'one folder was seen while it ran')
    t.same(leftOver(names), [])
  },
)

t.test('Ctrl-C in the middle of the work ends it, with nothing left', async (t) => {
  let done = false
  const { code, stdout, stderr, names } = await runDemo({}, (said, interrupt) => {
    if (done || !/\| step 3 /.test(said)) return
    done = true
    interrupt()
  })
  t.equal(code, 1)
  t.notMatch(stdout, /is evicted/)
  t.equal(stderr, 'demo: the demo was interrupted by SIGINT\n')
  t.equal(names.nodes.size, 1)
  t.same(leftOver(names), [])
})

t.test('it ends when nobody listens any more, with nothing left', async (t) => {
  const names: Names = { nodes: new Set(), folders: new Set() }
  const child = spawn(process.execPath, [entry], { stdio: ['ignore', 'pipe', 'ignore'] })
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    lookFor(child.pid ?? 0, names)
    if (/\| step 1 /.test(text)) child.stdout.destroy()
  })
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  t.equal(await within(exited, runDeadlineMs), 1)
  t.equal(names.nodes.size, 1)
  t.same(leftOver(names), [])
})

t.test('a workload that there is not is refused in one line', async (t) => {
  const { code, stdout, stderr } = await runDemo({ WORKLOAD: 'fortran' })
  t.equal(code, 1)
  t.equal(stdout, '')
  t.equal(stderr, 'demo: WORKLOAD is "fortran"; it must be one of numpy, torch\n')
})
