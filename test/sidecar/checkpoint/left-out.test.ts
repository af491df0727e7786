import t from 'tap'
import { processesLeftOut } from '../../../sidecar/checkpoint/left-out.ts'
import { containerProcesses } from '../../../sidecar/proc/process-tree.ts'
import { until } from '../../until.ts'
import { program } from '../stand-ins.ts'

t.test(
  'what exec began in the container is named, but not a probe, nor what belongs to the sidecar',
  async (t) => {
    const script = '(sleep 77 &); sleep 78 & exec sleep 100'
    const launcher = await program(t, ['unshare', '--mount', 'sh', '-c', script])
    const others = await until('both', async () => {
      const found = await containerProcesses(launcher.pid)
      return found.length === 2 ? found : undefined
    })
    t.teardown(() => others.forEach((pid) => process.kill(pid, 'SIGKILL')))
    const named = await processesLeftOut(launcher.pid, launcher.pid, { livedMs: -1_000 })
    t.equal(named.length, 1, 'the child of the sidecar’s own tree is not')
    t.match(named[0], /^\d+ \(sleep\)$/)
    const long = { livedMs: 3_600_000 }
    t.strictSame(
      await processesLeftOut(launcher.pid, launcher.pid, long),
      [],
      'what has just begun may be a probe',
    )
  },
)
