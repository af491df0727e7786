import t from 'tap'
import { launch, launcherPath } from './launcher.ts'

// In process namespaces of their own, so that this machine counts on undisturbed.
const inNamespace = (script: string) => ['--pid', '--fork', '--mount-proc', 'sh', '-c', script, launcherPath]

void t.test('the next process gets the number after it', async (t) => {
  const ending = await launch(t, inNamespace('"$0" lastpid 20000; true & echo $!'), { file: 'unshare' }).ended
  t.equal(ending.stdout, '20001\n')
  t.equal(ending.stderr, '')
})

void t.test('works where /proc/sys is read-only, as in a container, and leaves it so', async (t) => {
  const script = `mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys
    (echo 1 > /proc/sys/kernel/ns_last_pid) 2>/dev/null && echo writable
    "$0" lastpid 21000; true & echo $!
    (echo 1 > /proc/sys/kernel/ns_last_pid) 2>/dev/null || echo read-only`
  const ending = await launch(t, inNamespace(script), { file: 'unshare' }).ended
  t.equal(ending.stdout, '21001\nread-only\n')
})

void t.test('refuses what is no number', async (t) => {
  const ending = await launch(t, ['lastpid', '12x']).ended
  t.equal(ending.code, 125)
  t.match(ending.stderr, /usage: launcher lastpid N/)
})
