import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { mustRun } from '../../../sidecar/proc/command.ts'
import { instantArgument, walkArguments } from '../../../sidecar/files/find.ts'
import { ephemeralRoots, mountOf, parseMounts, readEphemeralRoots } from '../../../sidecar/files/mounts.ts'
import { createArguments, extractArguments } from '../../../sidecar/files/tar.ts'
import { quietLog as log } from '../quiet-log.ts'
import { containerPlan } from '../stand-ins.ts'

const line = (path: string, options = 'rw,relatime', type = 'ext4') =>
  `36 35 98:0 /root ${path} ${options} master:1 shared:2 - ${type} /dev/x rw`

t.test('reads the kernel list of mounts, optional fields and escapes included', async (t) => {
  const text = [
    '22 1 0:21 / / rw,relatime - overlay overlay rw,lowerdir=/a - b',
    line('/with\\040blank\\011tab\\012line\\134slash'),
    line('/secrets', 'ro,nosuid', 'tmpfs'),
    line('/ünï'),
    'half a line',
    '',
  ].join('\n')
  const plain = {
    device: '98:0',
    root: '/root',
    type: 'ext4',
    readOnly: false,
    ofImage: false,
    options: ['rw'],
  }
  t.strictSame(parseMounts(text), [
    { ...plain, path: '/', device: '0:21', root: '/', type: 'overlay', options: ['rw', 'lowerdir=/a'] },
    { ...plain, path: '/with blank\ttab\nline\\slash' },
    { ...plain, path: '/secrets', type: 'tmpfs', readOnly: true },
    { ...plain, path: '/ünï' },
  ])
})

t.test('what is the pod own is archived, and nothing else', async (t) => {
  const mounts = parseMounts(
    ['/', '/proc', '/dev', '/dev/shm', '/etc/hosts', '/scratch', '/data', '/reprieve']
      .map((path) => line(path))
      .join('\n'),
  )
  const plan = { ...containerPlan, emptyDirs: ['/scratch/', '/not-mounted'], external: ['/data//', '/gone'] }
  t.strictSame(ephemeralRoots(mounts, plan), {
    roots: ['/', '/dev/shm', '/scratch'],
    mountPoints: ['/', '/proc', '/dev', '/dev/shm', '/etc/hosts', '/scratch', '/data', '/reprieve'],
    external: ['/data'],
    isOverlay: false,
    movesFolders: false,
    excluded: [],
  })
})

t.test('a read-only root, or a volume mounted read-only over another, holds no state', async (t) => {
  const mounts = parseMounts([line('/', 'ro'), line('/scratch'), line('/scratch', 'ro')].join('\n'))
  t.strictSame(ephemeralRoots(mounts, { ...containerPlan, emptyDirs: ['/scratch'] }).roots, [])
})

t.test('a volume that the image declares is archived: the next container has a new one', async (t) => {
  const [container, volume] = ['0a'.repeat(32), 'f1'.repeat(32)]
  const inContainerd = `/var/lib/containerd/io.containerd.grpc.v1.cri/containers/${container}/volumes/${volume}`
  const inKubelet = '/var/lib/kubelet/pods/6f5902ac/volumes/kubernetes.io~local-volume'
  const mounts = parseMounts(
    [
      line('/'),
      line('/var/lib/postgresql/data').replace('/root', inContainerd),
      line('/data').replace('/root', `/docker/volumes/${volume}/_data`),
      line('/claim').replace('/root', `${inKubelet}/claim`),
      line('/model').replace('/root', `${inContainerd}/deeper`),
      line('/fixed', 'ro').replace('/root', inContainerd),
    ].join('\n'),
  )
  t.strictSame(ephemeralRoots(mounts, containerPlan).roots, ['/', '/var/lib/postgresql/data', '/data'])
})

const moves = (options: string, byDefault = false) =>
  ephemeralRoots(parseMounts(`22 1 0:21 / / rw - overlay overlay rw,${options}`), containerPlan, byDefault)
    .movesFolders

t.test(
  'an overlay tells whether it renames folders of the image, where that is not the default',
  async (t) => {
    t.equal(moves('lowerdir=/a'), false)
    t.equal(moves('lowerdir=/a', true), true)
    t.equal(moves('lowerdir=/a,redirect_dir=on'), true)
    t.equal(moves('lowerdir=/a,metacopy=on'), true)
    t.equal(moves('lowerdir=/a,redirect_dir=nofollow', true), false)
    t.equal(ephemeralRoots(parseMounts(line('/')), containerPlan, true).movesFolders, false)
  },
)

t.test('reads those of a live process', async (t) => {
  t.ok((await readEphemeralRoots(process.pid, containerPlan)).mountPoints.includes('/proc'))
  await t.rejects(readEphemeralRoots(2 ** 22 + 1, containerPlan), { code: 'ENOENT' })
})

t.test('finds the mount of a path, by whole names', async (t) => {
  const points = ['/', '/data', '/data/deep', '/d']
  t.equal(mountOf('/data/file', points), '/data')
  t.equal(mountOf('/data', points), '/data')
  t.equal(mountOf('/data/deep/er', points), '/data/deep')
  t.equal(mountOf('/database', points), '/')
  t.equal(mountOf('/x', points), '/')
})

t.test('a walk names what is there, but nothing of another mount, whatever its name', async (t) => {
  const root = t.testdir({})
  for (const name of ['a*b', 'axb', 'q?', 'qq', '[ab]', 'a', 'back\\slash', 'plain']) {
    mkdirSync(`${root}/${name}`)
    writeFileSync(`${root}/${name}/file`, '')
  }
  const mounted = ['a*b', 'q?', '[ab]', 'back\\slash'].map((name) => `${root}/${name}`)
  const args = walkArguments({ roots: [root], mountPoints: ['/', root, ...mounted], excluded: [] }, '-print0')
  const { stdout } = await mustRun(['find', ...args], { log, deadlineMs: 10_000 })
  const names = stdout.split('\0').filter((name) => name !== '')
  t.strictSame(names.map((name) => name.slice(root.length)).sort(), [
    '',
    '/a',
    '/a/file',
    '/axb',
    '/axb/file',
    '/plain',
    '/plain/file',
    '/qq',
    '/qq/file',
  ])
})

t.test('a walk names an excluded folder, but nothing in it, and no excluded file', async (t) => {
  const root = t.testdir({ cache: { deep: { file: '' }, file: '' }, cached: { file: '' }, token: '', 'a*': { file: '' }, ab: { file: '' } }) // prettier-ignore
  const excluded = ['cache', 'token', 'a*', 'gone'].map((name) => `${root}/${name}`)
  const args = walkArguments({ roots: [root], mountPoints: ['/', root], excluded }, '-print0')
  const { stdout } = await mustRun(['find', ...args], { log, deadlineMs: 10_000 })
  const names = stdout.split('\0').filter((name) => name !== '')
  const expected = ['', '/a*', '/ab', '/ab/file', '/cache', '/cached', '/cached/file']
  t.strictSame(names.map((name) => name.slice(root.length)).sort(), expected)
})

t.test('an excluded path lies where its volume is mounted, and links in it are not followed', async (t) => {
  const root = t.testdir({ real: {}, elsewhere: {}, volume: t.fixture('symlink', 'real') })
  symlinkSync(`${root}/elsewhere`, `${root}/real/cache`)
  const plan = {
    ...containerPlan,
    emptyDirs: [`${root}/volume/`],
    exclude: [`${root}/volume/cache`, `${root}/volume`],
  }
  const { excluded } = await readEphemeralRoots(process.pid, plan)
  t.strictSame(excluded, [`${root}/real/cache`, `${root}/real`])
})

t.test('a walk without other mounts needs no pruning', async (t) => {
  t.strictSame(walkArguments({ roots: ['/', '/x'], mountPoints: ['/', '/x'], excluded: [] }, '-print0'), [
    '/',
    '/x',
    '-xdev',
    '-print0',
  ])
})

t.test('an instant is told to find to the millisecond, and find takes it', async (t) => {
  t.equal(instantArgument(1_700_000_000_005), '@1700000000.005')
  const root = t.testdir({ file: '' })
  const newer = async (ms: number) => {
    const argv = ['find', root, '-type', 'f', '-newerct', instantArgument(ms)]
    return (await mustRun(argv, { log, deadlineMs: 10_000 })).stdout.length > 0
  }
  t.equal(await newer(Date.now() - 60_000), true)
  t.equal(await newer(Date.now() + 60_000), false)
})

t.test('tar is told its names last, so that all that goes before applies to them', async (t) => {
  const flat = createArguments({ recursion: false })
  t.ok(flat.indexOf('--no-recursion') < flat.indexOf('--files-from=/proc/self/fd/3'))
  t.equal(flat.at(-1), '--files-from=/proc/self/fd/3')
  t.ok(createArguments({ recursion: true }).includes('--one-file-system'))
  t.ok(extractArguments().includes('--same-owner'))
})
