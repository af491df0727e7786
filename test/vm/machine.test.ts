import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { existsSync } from 'node:fs'
import t, { type Test } from 'tap'
import { run as runCommand } from '../../scripts/command.ts'
import { machineOptions } from './command-line.ts'
import { environmentForGuest } from './guest-tests.ts'
import { Machine } from './machine.ts'

const deadlineMs = 240_000

async function boot(t: Test): Promise<Machine> {
  const machine = await Machine.boot()
  t.teardown(() => machine.end())
  return machine
}

async function output(machine: Machine, script: string): Promise<string> {
  const run = machine.run(['sh', '-c', script], { deadlineMs })
  const [said] = await Promise.all([text(run.stdout), run.ended])
  return said
}

t.test('the guest has what a node has', async (t) => {
  const machine = await boot(t)
  t.equal(await output(machine, 'stat -fc %T /sys/fs/cgroup'), 'cgroup2fs\n', 'cgroup v2, and no other')
  const controllers = (await output(machine, 'cat /sys/fs/cgroup/cgroup.controllers')).trim().split(' ')
  for (const name of ['cpu', 'memory', 'pids', 'cpuset']) t.ok(controllers.includes(name), name)
  t.match(await output(machine, 'cat /proc/pressure/memory'), /^some avg10=/, 'pressure stall information')
  t.match(await output(machine, 'grep CapEff /proc/self/status'), /000001ffffffffff/, 'every capability')
  t.equal(await output(machine, 'test -c /dev/userfaultfd && echo 4 >/proc/self/clear_refs && echo yes'), 'yes\n', 'soft-dirty, userfaultfd') // prettier-ignore
  t.match(machine.kernel, /-cloud-amd64$/)

  const run = machine.run(['sh', '-c', 'echo out; echo err >&2; exit 3'], { deadlineMs, environment: {} })
  const [stdout, stderr, ended] = await Promise.all([text(run.stdout), text(run.stderr), run.ended])
  t.same({ stdout, stderr }, { stdout: 'out\n', stderr: 'err\n' })
  t.match(ended, { code: 3, timedOut: false }, 'a command’s output and exit code come out as they are')

  const late = await machine.run(['sleep', '600'], { deadlineMs: 500 }).ended
  t.match(late, { code: 137, timedOut: true }, 'a command is ended at its deadline')
  t.equal(await output(machine, 'echo $REPRIEVE_X-'), '-\n', 'and the guest goes on')
  t.throws(() => {
    machine.run(['sleep', '1'], { deadlineMs })
    machine.run(['sleep', '1'], { deadlineMs })
  }, /one command at a time/)
})

t.test('a guest that loses its power in the middle of a command is told of, with its console', async (t) => {
  const machine = await boot(t)
  const script = 'echo said on the console >/dev/console; echo said; sleep 600'
  const run = machine.run(['sh', '-c', script], { deadlineMs })
  const ended = t.rejects(run.ended, /QEMU ended \(SIGKILL\)[^]*said on the console/)
  await once(run.stdout, 'readable')
  machine.kill()
  await ended
})

t.test('a kernel that panics in the middle of a test file fails the run, with the last words', async (t) => {
  const environment = { REPRIEVE_VM_FILES: 'test/fixtures/guest/panics.ts', TAP_TIMEOUT: '600', TAP: '1' }
  const argv = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  const file = 'test/vm/in-the-guest.test.ts'
  const { code, stdout, stderr } = await runCommand(['env', ...argv, process.execPath, file], { deadlineMs: 660_000 }) // prettier-ignore
  t.not(code, 0)
  t.match(stdout, /^ {4}ok 1 - all is well$/m, 'what it said before is there')
  t.match(stdout, /^not ok \d+ - test\/fixtures\/guest\/panics\.ts/m)
  t.match(stdout + stderr, /QEMU ended \(0\)[^]*Kernel panic - not syncing: sysrq triggered crash/)
})

t.test('a guest that never becomes ready is given up, with what QEMU said', async (t) => {
  const options = machineOptions({ REPRIEVE_VM_CPUS: '1' })
  await t.rejects(Machine.boot(options, 200), /the guest was not ready after 200 ms/)
  await t.rejects(Machine.boot({ ...options, memoryMiB: 1 << 30 }), /QEMU ended \(1\)\nQEMU: [^]*memory/)
})

t.test('the machine is chosen by variables, and all that is wrong with them is told at once', async (t) => {
  t.same(machineOptions({}), { accelerator: 'tcg', processors: 2, memoryMiB: 3072 })
  const chosen = { REPRIEVE_VM_ACCEL: 'kvm', REPRIEVE_VM_CPUS: '4', REPRIEVE_VM_MEMORY_MIB: '4096' }
  t.same(machineOptions(chosen), { accelerator: 'kvm', processors: 4, memoryMiB: 4096 })
  const wrong = { REPRIEVE_VM_ACCEL: 'xen', REPRIEVE_VM_CPUS: '0', REPRIEVE_VM_MEMORY_MIB: 'much' }
  t.throws(
    () => machineOptions(wrong),
    /REPRIEVE_VM_ACCEL=xen [^]*REPRIEVE_VM_CPUS=0 [^]*REPRIEVE_VM_MEMORY_MIB=much /,
  )
})

t.test(
  'the guest gets the variables of the tests, but none that names something of this machine',
  async (t) => {
    const environment = {
      HOME: '/x',
      REPRIEVE_SOAK: '1',
      REPRIEVE_CACHE: '/c',
      REPRIEVE_VM_CPUS: '1',
      REPRIEVE_IMAGE: 'i',
    }
    t.same(environmentForGuest(environment, 90_000), {
      REPRIEVE_SLOWNESS: '4',
      REPRIEVE_SOAK: '1',
      TAP_TIMEOUT: '90',
    })
    t.notOk(existsSync('/repository'), 'where the guest has the repository this machine has nothing')
  },
)
