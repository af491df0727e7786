import t from 'tap'
import { dumpObstacles, isLasting, obstacleIn, obstacleOf } from '../../src/dump-obstacles.ts'
import { ReprieveError } from '../../src/errors.ts'

/** As CRIU 4.2.1 says it. */
const said: Record<keyof typeof dumpObstacles, string[]> = {
  'uses-io-uring': [
    '(criu/proc_parse.c:502): Unknown shit 600 (anon_inode:[io_uring])',
    '(criu/pie/parasite.c:588): send_fds failed (-22)',
  ],
  'uses-mptcp': ['(criu/sk-inet.c:137): inet: Unsupported proto 262 for socket 3fd90'],
  'uses-shared-memory': [
    "(criu/cr-dump.c:478): Task 1071 with SysVIPC shmem map @7f97631d4000 doesn't live in IPC ns",
  ],
  'uses-outside-file': ["(criu/files-reg.c:1790): Can't lookup mount=21 for fd=3 path=/work"],
  'uses-device': [
    "(criu/files-ext.c:94): Can't dump file 7 of that type [20666] (chr 195:255 /dev/nvidiactl)",
    "(criu/proc_parse.c:663): Can't handle non-regular mapping on 12's map 7f0000000000",
  ],
  'holds-more-capabilities': ['(criu/pie/restorer.c:245): Unable to restore capabilities: -1'],
  'lacks-sys-resource': ["(criu/cr-dump.c:389): Can't get rlimit 0: Operation not permitted"],
  'runs-from-memory': ['(criu/files-reg.c:2592): No entry for reg-file-ID 0x1'],
  'holds-excluded-file': [
    "(criu/files-reg.c:2143): Can't open file scratch/x on restore: No such file or directory",
  ],
  'uses-own-namespaces': ["(criu/namespaces.c:460): Can't dump nested pid namespace for 12"],
  'connected-outside': [
    '(criu/sk-unix.c:417): unix: Unix socket 21 without peer 22',
    '(criu/sk-unix.c:874): unix: External socket is used. Consider using --ext-unix-sk option.',
    "(criu/sk-unix.c:881): unix: Can't dump half of stream unix connection. name: (null); peer name: /run/x",
  ],
  'connection-in-backlog': ['(criu/sk-unix.c:525): unix: Found a closed in-flight socket to 0x3fbce'],
  'under-debugger': ['(compel/src/lib/infect.c:262): Unseizable non-zombie 1544 found, state t, err -1/10'],
}

t.test('what keeps a program from being saved is told by name', async (t) => {
  for (const [obstacle, lines] of Object.entries(said))
    for (const line of lines)
      t.equal(obstacleIn(`(criu/x.c:1): other\n${line}\n(criu/y.c:1): more`), obstacle, line)
  for (const line of [
    '',
    '(criu/tun.c:85): tun',
    "(criu/files-ext.c:94): Can't dump file 7 of that type [100600] (x)",
  ])
    t.equal(obstacleIn(line), undefined)
})

t.test('it is read from the error of a dump, and from no other', async (t) => {
  t.equal(obstacleOf(new ReprieveError('dump-failed', '', { obstacle: 'uses-mptcp' })), 'uses-mptcp')
  t.equal(obstacleOf(new ReprieveError('dump-failed', '', { obstacle: 'of another version' })), undefined)
  t.equal(obstacleOf(new Error('uses-mptcp')), undefined)
})

t.test('what passes by itself is told from what lasts', async (t) => {
  t.equal(isLasting('uses-io-uring'), true)
  for (const reason of [
    'under-debugger',
    'connection-in-backlog',
    'holds-excluded-file',
    'dump-failed',
    'toString',
  ])
    t.equal(isLasting(reason), false, reason)
})
