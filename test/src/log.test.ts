import { execFileSync } from 'node:child_process'
import t from 'tap'

const script = `
import { createLog } from '${new URL('../../src/log.ts', import.meta.url).href}'
import { ReprieveError } from '${new URL('../../src/errors.ts', import.meta.url).href}'
const log = createLog('sidecar', { pod: 'p' })
log.debug('not said')
log.child({ container: 'app' }).warn({ err: new ReprieveError('store-failed', 'put', { path: '/a' }) }, 'it failed')
log.info({ n: 1 }, 'last words')
process.kill(process.pid, 'SIGKILL')
`
const say = (env: Record<string, string> = {}, program = script) => {
  let text = ''
  try {
    text = execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
      env: { ...process.env, ...env, NODE_OPTIONS: '' },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  } catch (error) {
    text = String((error as { stdout: unknown }).stdout)
  }
  return text
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line))
}

t.test('one JSON line an event, the last one too when the process is killed', async (t) => {
  t.match(say({ REPRIEVE_LOG_LEVEL: 'info' }), [
    {
      level: 'warn',
      time: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/,
      component: 'sidecar',
      pod: 'p',
      container: 'app',
      err: { code: 'store-failed', message: 'put', data: { path: '/a' } },
      msg: 'it failed',
    },
    { level: 'info', n: 1, msg: 'last words' },
  ])
})

t.test('says as much as it is told to', async (t) => {
  t.equal(say({ REPRIEVE_LOG_LEVEL: 'debug' }).length, 3)
  t.equal(say({ REPRIEVE_LOG_LEVEL: 'warn' }).length, 1)
})

const byTurn = (ending: string) =>
  say(
    {},
    `
import { createLogByTurn } from '${new URL('../../src/log.ts', import.meta.url).href}'
const log = createLogByTurn('webhook')
log.info('first')
await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
for (let n = 0; n < 200; n++) log.info({ n }, 'x'.repeat(100))
${ending}`,
  ) as { msg: string; n?: number; level: string }[]

t.test('what a turn has to say is written at its end, all of it and in order', async (t) => {
  const lines = byTurn('setTimeout(() => process.kill(process.pid, "SIGKILL"), 50)')
  t.equal(lines[0]?.msg, 'first')
  t.same(
    lines.slice(1).map(({ n }) => n),
    Array.from({ length: 200 }, (_, n) => n),
  )
})

t.test(
  'a process that ends within the turn loses nothing, and one that is killed no more than the turn',
  async (t) => {
    const endings = [
      'process.exit(0)',
      'throw new Error("x")',
      'log.fatal("over"); process.kill(process.pid, "SIGKILL")',
    ]
    for (const ending of endings) t.ok(byTurn(ending).length >= 201, ending)
    t.equal(byTurn('process.kill(process.pid, "SIGKILL")')[0]?.msg, 'first')
  },
)
