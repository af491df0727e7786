import fc from 'fast-check'
import t from 'tap'
import {
  formatMessage,
  parseMessage,
  type FromLauncher,
} from '../../../sidecar/launcher-socket/launcher-messages.ts'

const known: [string, FromLauncher][] = [
  [
    'run container=app pid=12 launcher=0123456789ab state=waiting',
    { verb: 'run', container: 'app', pid: 12, launcher: '0123456789ab', at: { state: 'waiting' } },
  ],
  [
    'run container=app pid=12 launcher=x state=running root=13',
    { verb: 'run', container: 'app', pid: 12, launcher: 'x', at: { state: 'running', root: 13 } },
  ],
  [
    'run state=adopted supervisor=14 root=13 launcher=x pid=12 container=app',
    {
      verb: 'run',
      container: 'app',
      pid: 12,
      launcher: 'x',
      at: { state: 'adopted', root: 13, supervisor: 14 },
    },
  ],
  [
    'run container=app pid=12 launcher=x state=gone code=0',
    { verb: 'run', container: 'app', pid: 12, launcher: 'x', at: { state: 'gone', code: 0 } },
  ],
  ['started root=13', { verb: 'started', root: 13 }],
  ['adopted', { verb: 'adopted' }],
  ['adopted later=key', { verb: 'adopted' }],
  ['gone code=137', { verb: 'gone', code: 137 }],
  ['signal number=15 root=13', { verb: 'signal', number: 15, root: 13 }],
  ['prestop container=app budget-ms=25000', { verb: 'prestop', container: 'app', budgetMs: 25000 }],
  [
    'fetch url=https%3A%2F%2F10.0.0.1%2F header=a%3Ab header=c%3Ad%3De',
    { verb: 'fetch', url: 'https%3A%2F%2F10.0.0.1%2F', headers: ['a%3Ab', 'c%3Ad%3De'] },
  ],
  ['fetch url=a=b', { verb: 'fetch', url: 'a=b', headers: [] }],
]

for (const [line, message] of known)
  t.test(`understands "${line}"`, async (t) => t.strictSame(parseMessage(line), message))

for (const line of [
  '',
  ' ',
  'run',
  'hello',
  'RUN container=app pid=12 launcher=x state=waiting',
  'run container= pid=12 launcher=x state=waiting',
  'run container=app pid= launcher=x state=waiting',
  'run container=app pid=-1 launcher=x state=waiting',
  'run container=app pid=0x10 launcher=x state=waiting',
  'run container=app pid=12345678901 launcher=x state=waiting',
  'run container=app pid=12 launcher=x',
  'run container=app pid=12 launcher=x state=flying',
  'run container=app pid=12 launcher=x state=running',
  'run container=app pid=12 launcher=x state=adopted root=3',
  'run container=app pid=12 launcher=x state=gone code=',
  'run container=app  pid=12 launcher=x state=waiting',
  'run =app pid=12',
  'started',
  'started root=1e3',
  'started root=١٢',
  'gone code=1.5',
  'signal number=15',
  'prestop budget-ms=1',
  'prestop container=app',
  'fetch',
  'fetch url=',
  'constructor',
  '__proto__ a=b',
])
  t.test(`refuses "${line}"`, async (t) => t.equal(parseMessage(line), undefined))

t.test('no line at all makes the parser throw', async (t) => {
  const word = fc.constantFrom(
    'run',
    'gone',
    'pid=1',
    'state=gone',
    'code=',
    '=',
    '__proto__=1',
    'container=a',
  )
  const line = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.array(word).map((words) => words.join(' ')),
  )
  fc.assert(
    fc.property(line, (text) => {
      parseMessage(text)
    }),
    { numRuns: 5_000 },
  )
  t.pass('5,000 lines')
})

t.test('says what the protocol has, one line each', async (t) => {
  t.equal(formatMessage({ verb: 'wait', ms: 10_000 }), 'wait ms=10000\n')
  t.equal(formatMessage({ verb: 'start' }), 'start\n')
  t.equal(
    formatMessage({ verb: 'adopt', root: 3, supervisor: 4, status: '/reprieve/run/app/exit-1' }),
    'adopt root=3 supervisor=4 status=/reprieve/run/app/exit-1\n',
  )
  t.equal(formatMessage({ verb: 'taken', id: 'a' }), 'taken id=a\n')
  t.equal(formatMessage({ verb: 'failed', reason: 'not-running' }), 'failed reason=not-running\n')
  t.equal(formatMessage({ verb: 'fetched', status: 204 }), 'fetched status=204\n')
})
