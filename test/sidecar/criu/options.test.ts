import t from 'tap'
import { dumpArguments, restoreArguments } from '../../../sidecar/criu/options.ts'

const pairs = (args: string[], name: string) => args.filter((_, index) => args[index - 1] === name)

t.test('a dump names its tree, and each pipe that leads out once', async (t) => {
  const stdio = [
    { fd: 0, inode: '10' },
    { fd: 1, inode: '11' },
    { fd: 2, inode: '11' },
  ] as const
  const args = dumpArguments(10_001, stdio, true)
  t.equal(args[0], 'dump')
  t.strictSame(pairs(args, '--tree'), ['10001'])
  t.strictSame(pairs(args, '--external'), ['pipe:[10]', 'pipe:[11]'])
  t.ok(args.includes('--leave-running'))
  t.notOk(dumpArguments(1, [], false).includes('--leave-running'))
  t.notOk(args.includes('--leave-stopped'))
})

t.test('dump and restore say the same of sockets, locks, cgroups and folders', async (t) => {
  const [dump, restore] = [dumpArguments(1, [], false), restoreArguments([], [])]
  for (const word of ['--no-default-config', '--file-locks', '--manage-cgroups=ignore', '--skip-in-flight']) {
    t.ok(dump.includes(word), word)
    t.ok(restore.includes(word), word)
  }
  t.ok(dump.includes('--tcp-close') && !restore.includes('--tcp-close'), 'a dump leaves connections alone')
  t.ok(restore.includes('--tcp-established') && !dump.includes('--tcp-established'))
  for (const name of ['--libdir', '--images-dir', '--work-dir', '--action-script', '--network-lock'])
    t.strictSame(pairs(dump, name), pairs(restore, name))
})

t.test('each old pipe becomes the new one of its descriptor', async (t) => {
  const stdio = [
    { fd: 0, inode: '10' },
    { fd: 1, inode: '11' },
    { fd: 2, inode: '12' },
  ] as const
  t.strictSame(pairs(restoreArguments(stdio, [0, 1, 2]), '--inherit-fd'), [
    'fd[100]:pipe:[10]',
    'fd[101]:pipe:[11]',
    'fd[102]:pipe:[12]',
  ])
})

t.test('a pipe that two descriptors shared is inherited once', async (t) => {
  const stdio = [
    { fd: 1, inode: '11' },
    { fd: 2, inode: '11' },
  ] as const
  t.strictSame(pairs(restoreArguments(stdio, [1, 2]), '--inherit-fd'), ['fd[101]:pipe:[11]'])
})

t.test('the pipes of two generations both go where the new ones lead', async (t) => {
  const stdio = [
    { fd: 1, inode: '21' },
    { fd: 1, inode: '11' },
    { fd: 2, inode: '12' },
  ] as const
  t.strictSame(pairs(restoreArguments(stdio, [1, 2]), '--inherit-fd'), [
    'fd[101]:pipe:[21]',
    'fd[101]:pipe:[11]',
    'fd[102]:pipe:[12]',
  ])
})

t.test('what the new container does not have is taken by what it has', async (t) => {
  const stdio = [
    { fd: 0, inode: '10' },
    { fd: 2, inode: '12' },
  ] as const
  t.strictSame(pairs(restoreArguments(stdio, [1]), '--inherit-fd'), [
    'fd[101]:pipe:[10]',
    'fd[101]:pipe:[12]',
  ])
  t.strictSame(pairs(restoreArguments(stdio, []), '--inherit-fd'), [])
})
