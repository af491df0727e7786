import t from 'tap'
import { criuErrors } from '../../../sidecar/criu/log.ts'

t.test('says what went wrong, without what always does, each once', async (t) => {
  const text = [
    '(00.000100) Version: 4.1.1',
    '(00.000200) Error (criu/tun.c:85): tun: Unable to create tun',
    '(00.000210) Error (criu/cr-service.c:1): RLIMIT_NOFILE for self',
    '(00.001000)     12: Error (criu/files.c:1): Cannot open',
    '(00.001001)     13: Error (criu/files.c:1): Cannot open',
    'reprieve-launcher: setns: Operation not permitted',
    ...Array.from({ length: 9 }, (_, index) => `(00.00200${index}) Error (criu/x.c:${index}): no ${index}`),
  ].join('\n')
  const folder = t.testdir({ 'dump.log': text, empty: '' })
  t.equal(
    await criuErrors(`${folder}/dump.log`),
    '(criu/files.c:1): Cannot open | reprieve-launcher: setns: Operation not permitted | (criu/x.c:0): no 0 | (criu/x.c:1): no 1',
  )
  t.equal(await criuErrors(`${folder}/empty`), '')
  t.equal(await criuErrors(`${folder}/none`), '')
})
