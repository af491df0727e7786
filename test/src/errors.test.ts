import t from 'tap'
import { describeError, errnoOf, errorCodes, ReprieveError } from '../../src/errors.ts'

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

const failed = (code: unknown) => Object.assign(new Error('failed'), { code })

t.test("the kernel's errors have their names, those that libuv does not know as well", async (t) => {
  t.equal(errnoOf(failed('ENOSPC')), 'ENOSPC')
  t.equal(errnoOf(failed('Unknown system error -116')), 'ESTALE')
  t.equal(errnoOf(failed('Unknown system error -122')), 'EDQUOT')
  for (const code of ['Unknown system error -99999', 'ERR_INVALID_ARG_TYPE', 'store-failed', 116, undefined])
    t.equal(errnoOf(failed(code)), undefined, String(code))
  t.equal(errnoOf('ENOENT'), undefined)
})
