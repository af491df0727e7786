import t from 'tap'
import { describeError, errorCodes, ReprieveError } from '../../src/errors.ts'

t.test('an error carries its code, its facts and its cause', async (t) => {
  const cause = new Error('no space left')
  const error = new ReprieveError('store-failed', 'put of a', { path: '/a' }, cause)
  t.match(error, { name: 'ReprieveError', code: 'store-failed', message: 'put of a', data: { path: '/a' } })
  t.equal(error.cause, cause)
  t.ok(error instanceof Error)
  t.throws(() => Object.assign(error.data, { path: '/b' }), TypeError)
  t.notOk('cause' in new ReprieveError('store-failed', 'put of a'))
})

t.test('is described in one line with its causes', async (t) => {
  const root = new ReprieveError('command-failed', 'tar exited with 2', {}, 'a text')
  t.equal(
    describeError(new Error('archiving failed', { cause: root })),
    'archiving failed: tar exited with 2: a text',
  )
  t.equal(describeError('only a text'), 'only a text')
  t.equal(describeError(undefined), '')
  t.equal(describeError(null), 'null')
})

t.test('a cause that causes itself has an end', async (t) => {
  const error = new Error('round')
  error.cause = error
  t.equal(describeError(error).split(': ').length, 8)
})

t.test('every code says what it means', async (t) => {
  for (const [code, { meaning }] of Object.entries(errorCodes))
    t.ok(/^[a-z]+-[a-z]+$/.test(code) && meaning.length > 20)
})
