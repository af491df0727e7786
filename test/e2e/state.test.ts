/**
 * Point d: state beside plain memory. One program sets up every kind and looks at each itself: before any checkpoint, after
 * one that it goes on from, in the pod that replaces a crashed one, and in the pod that replaces that one, evicted.
 */
import { randomUUID } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { must } from '../../scripts/command.ts'
import type { Pod } from '../harness/pod.ts'
import { pythonImage } from '../images/debian.ts'
import { assertAll, look, statePod, statePrograms, withImageData, type Round } from './state.ts'
import { application, askControl, deadlineMs, openStage, podOf, statusOf } from './support.ts'

const kinds = {
  'the process itself': [
    'environment, working directory, umask and limits',
    'process number, session, group, priority and name',
    'threads with variables of their own',
  ],
  'files of the writable layer': [
    'files of the image that were changed',
    'files and folders that were created',
    'files and a folder tree of the image that were deleted',
    'a folder of the image that was deleted and made anew',
    'names of the image that have become something else',
    'renamed files and folders',
    'symbolic links, hard links, named pipes and devices',
    'modes, owners, times, extended attributes, capabilities and access lists',
    'names with spaces, line ends, globs, quotes, backslashes, hyphens and bytes that are no UTF-8',
    'a sparse file, which stays sparse',
  ],
  'volumes that end with the pod': [
    'an emptyDir on disk',
    'an emptyDir in memory',
    'files in /dev/shm',
    'what an init container put into an emptyDir, and the program changed, deleted and renamed',
    'what an init container put into an emptyDir, which is different in every pod',
    'the same where the program changed it, or holds it open',
    'an emptyDir that another container shares',
  ],
  'open files': [
    'open files with their offsets and flags',
    'an open file without a name, small',
    'an open file without a name, of 8 MiB',
    'open files without a name on an emptyDir, one in memory, /dev/shm and an external volume',
    'an open file in a folder that was deleted with it',
    'an open file that lost the name it was opened by, but has another',
    'the same on an emptyDir, one in memory and /dev/shm',
    'a file that two processes have mapped and write',
    'the same without a name, on disk and in /dev/shm',
    'a memfd',
    'flock and fcntl locks',
    'record locks on mapped files, for reading and for writing, of several processes',
    'flock and locks of the open file on mapped files',
    'open databases of SQLite with both kinds of journal, in the writable layer, an emptyDir and one in memory',
    'a log on an external volume, which grows all the time',
  ],
  'shared memory and what is counted': [
    'anonymous memory that a parent and a child share',
    'a named POSIX semaphore, and a process that waits for it',
    'a POSIX semaphore in shared memory, and a process that waits for it',
    'an eventfd with its count',
    'inotify watches in the writable layer, an emptyDir, one in memory, /dev/shm and an external volume',
    'a signalfd, a blocked signal that is pending, and a handler',
  ],
  'pipes, unix sockets and terminals': [
    'a pipe with 60,000 bytes in it, and one that another process reads',
    'a named pipe that two processes have open, with data in it',
    'pairs of unix sockets, stream, datagram and seqpacket, with data in them',
    'a unix socket with a name in the file tree, whose client stays connected',
    'the same in an emptyDir and in one in memory',
    'the same, bound to another name and renamed',
    'the same, bound to another name and linked, as supervisord does it',
    'the same with an abstract name',
    'a descriptor that is on its way through a unix socket',
    'a pseudo-terminal of the program’s own',
    'a terminal with a session of its own, whose foreground group has ended',
  ],
  network: [
    'a listening TCP socket',
    'a TCP connection to a peer outside the program',
    'a TCP connection between two processes of the program',
    'a process that waits for data on a connection to a peer outside',
    'UDP sockets, bound and connected',
  ],
  time: [
    'clocks that never go backward',
    'a process that sleeps for a second again and again',
    'processes that wait with a time-out in epoll, poll and select',
    'a thread that waits for a condition with a time-out',
    'timerfds, a periodic one and some that are an hour away',
    'a periodic timerfd that has expired, unread, whenever a checkpoint is taken',
    'an interval timer that sends a signal',
  ],
}
const connections = kinds.network.filter((kind) => kind.includes('connection'))
/** How much longer the first node has been up than the others. */
const longerUpSeconds = 1_000_000

t.test('state beside memory outlives a crash and an eviction, kind by kind', async (t) => {
  const layer = mkdtempSync('/var/tmp/reprieve-e2e-image-')
  t.teardown(() => rmSync(layer, { recursive: true, force: true }))
  const stage = await openStage(t, {
    programs: statePrograms,
    base: withImageData(await pythonImage(), layer),
  })
  const start = (of: string, uid = randomUUID()) => {
    const pod = statePod(stage)
    const sources = { secrets: { token: { key: of } }, configMaps: { settings: { key: of } } }
    return stage.run({ ...pod, metadata: { ...pod.metadata, uid } }, sources)
  }
  const firstUid = randomUUID()
  await nodeLongerUpFor(t, join(stage.folder, 'bin'), firstUid)
  const first = await start('first', firstUid)
  await first.waitForLog(application, /^ready$/, { deadlineMs })
  const before = await look(stage, first, 1)
  await assertKinds(t, 'before any checkpoint', before)
  const answer = await askControl(first, { afterwards: 'resume' })
  t.match(answer, { app: { outcome: 'taken' } }, 'a checkpoint by hand', { answer })
  const id = answer.app?.id ?? ''
  const [{ lastCheckpoint } = {}] = (await statusOf(first)).containers
  t.match(
    lastCheckpoint?.connections,
    { neighbours: 3, outside: 0, unread: 0 },
    'those to the neighbour, one of which later children have inherited',
  )
  const goneOn = await look(stage, first, 2)
  await assertKinds(t, 'in the program that goes on after its checkpoint', goneOn)
  for (const kind of connections)
    t.same([before.get(kind)?.found, goneOn.get(kind)?.found], ['connected', 'connected'], `${kind} stays`)

  await first.waitForLog(application, /^round 2 done$/, { deadlineMs })
  await first.crash()
  const log = join(stage.folder, 'external/log')
  const grown = readFileSync(log, 'latin1')
  const second = await start('second')
  const afterCrash = await look(stage, second, 2)
  t.match((await statusOf(second)).containers, [{ restoredFrom: id, rejected: [] }], 'from that checkpoint')
  await assertKinds(t, 'in the pod that replaces the crashed one', afterCrash)
  assertConnections(t, afterCrash)
  assertTailKept(t, log, grown, id)
  await assertOwnFiles(t, second, 'second')

  await second.evict()
  const third = await start('third')
  const afterEviction = await look(stage, third, 3)
  await assertKinds(t, 'in the pod that replaces the evicted one', afterEviction)
  assertConnections(t, afterEviction)
  assertFresh(t, before, goneOn, afterCrash, afterEviction)
  await assertOwnFiles(t, third, 'third')
  const left = await third.exec(application, [
    'sh',
    '-c',
    'find / /dev/shm -xdev -name "link_remap.*" -o -xdev -name "*.cr.*.ghost"',
  ])
  t.equal(left.stdout, '', 'CRIU has left no file of its own')
  const uptimes = [before, afterCrash, afterEviction].map((round) => uptimeIn(round))
  t.ok(uptimes.every((seconds) => seconds > longerUpSeconds), 'the clocks go on from those of the first node', { uptimes }) // prettier-ignore
})

t.test('System V shared memory cannot be dumped: the reason is told, and the program goes on', async (t) => {
  const stage = await openStage(t, { programs: ['state_sysv.py'], base: await pythonImage() })
  const control = join(stage.folder, 'control')
  mkdirSync(control)
  const pod = await stage.run(
    podOf({
      command: ['python3', '/app/state_sysv.py'],
      volumeMounts: [{ name: 'control', mountPath: '/control' }],
      spec: { volumes: [{ name: 'control', hostPath: { path: control } }] },
    }),
  )
  await pod.waitForLog(application, /^turn 3$/, { deadlineMs })
  t.match(await askControl(pod, { afterwards: 'resume' }), {
    app: { outcome: 'failed', reason: 'uses-shared-memory' },
  })
  const [container] = (await statusOf(pod)).containers
  t.match(container?.lastCheckpoint?.detail, /System V shared memory.*shm_open/, 'the status says why')
  const turns = pod.logLines(application).length
  await pod.waitForLog(application, /^turn /, { nth: turns + 3, deadlineMs })
  writeFileSync(join(control, 'detach'), '')
  await pod.waitForLog(application, /^detached$/, { deadlineMs })
  t.match(
    await askControl(pod, { afterwards: 'resume' }),
    { app: { outcome: 'taken' } },
    'without the segment it can',
  )
})

async function assertKinds(t: Test, when: string, round: Round): Promise<void> {
  await t.test(when, async (t) => {
    for (const [what, names] of Object.entries(kinds))
      await t.test(what, async (t) => {
        assertAll(t, names, round)
      })
    const known = new Set(Object.values(kinds).flat())
    t.same([...round.keys()].filter((kind) => !known.has(kind)), [], 'nothing else was reported') // prettier-ignore
  })
}

/** What nobody changed is today's in each pod: a token of the old pod would be of no use. */
function assertFresh(t: Test, ...rounds: Round[]): void {
  const kind = 'what an init container put into an emptyDir, which is different in every pod'
  const [before, goneOn, ...replaced] = rounds.map((round) => round.get(kind)?.found)
  t.equal(goneOn, before, 'what an init container made stays in the pod that goes on')
  t.equal(new Set([before, ...replaced]).size, 1 + replaced.length, 'and is made anew for each pod')
}

/** A connection to a peer outside is closed; one that the program has with itself goes on. */
function assertConnections(t: Test, round: Round): void {
  for (const kind of connections.filter((kind) => kind.includes('outside')))
    t.match(round.get(kind)?.found, /^closed \(/, `${kind} is closed cleanly`)
  const inside = 'a TCP connection between two processes of the program'
  t.equal(round.get(inside)?.found, 'connected', `${inside} stays`)
}

function assertTailKept(t: Test, log: string, grown: string, id: string): void {
  const tail = readFileSync(`${log}.reprieve-tail-${id}`, 'latin1')
  t.ok(
    tail.length > 0 && grown.endsWith(tail),
    'what the log had grown by since the checkpoint lies beside it',
  )
  const head = grown.slice(0, grown.length - tail.length)
  t.ok(readFileSync(log, 'latin1').startsWith(head), 'the log itself goes on from where it was then')
  t.same(readdirSync(join(log, '..')).filter((name) => name.includes('tail')).length, 1)
}

/** What the cluster gives to each pod is the new pod's own. */
async function assertOwnFiles(t: Test, pod: Pod, of: string): Promise<void> {
  const cat = async (path: string) => (await pod.exec(application, ['cat', path])).stdout
  t.equal(await cat('/secret/key'), of, 'the secret is the new pod’s')
  t.equal(await cat('/settings/key'), of, 'the config map is the new pod’s')
  t.match(await cat('/etc/hosts'), new RegExp(`^${pod.status().podIp}\\s+${pod.name}$`, 'm'), '/etc/hosts is the new pod’s') // prettier-ignore
  t.equal((await cat('/etc/hostname')).trim(), pod.name, '/etc/hostname is the new pod’s')
}

function uptimeIn(round: Round): number {
  return Number(/uptime ([\d.]+) s/.exec(round.get('clocks that never go backward')?.found ?? '')?.[1])
}

/** Makes runc do all that it does for one pod in a time namespace, as on a node that has been up for longer. */
async function nodeLongerUpFor(t: Test, folder: string, uid: string): Promise<void> {
  const real = (await must(['sh', '-c', 'command -v runc'])).trim()
  const path = process.env.PATH
  mkdirSync(folder)
  const longerUp = `unshare --time --fork --monotonic ${longerUpSeconds} --boottime ${longerUpSeconds}`
  const script = `#!/bin/sh\ncase "$*" in\n*${uid}*) exec ${longerUp} ${real} "$@" ;;\nesac\nexec ${real} "$@"\n`
  writeFileSync(join(folder, 'runc'), script)
  chmodSync(join(folder, 'runc'), 0o755)
  process.env.PATH = `${folder}:${path}`
  t.teardown(() => (process.env.PATH = path))
}
