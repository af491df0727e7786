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
const say = (env: Record<string, string> = {}) => {
  let text = ''
  try {
    text = execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
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
