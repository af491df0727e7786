/** A program that handles no signals does not expect a system call of its to fail with EINTR after a restore. */
import t from 'tap'
import { pythonImage } from '../images/debian.ts'
import { openStage, replaced } from './support.ts'

t.test('tail -F, which waits in poll, goes on after a restore', async (t) => {
  const stage = await openStage(t, { base: await pythonImage() })
  const script = `echo begins >/tmp/log
tail -n +1 -F /tmp/log &
turn=0
while kill -0 $!; do turn=$((turn + 1)); echo "turn $turn" >>/tmp/log; sleep 0.5; done
echo ended`
  const { after } = await replaced(stage, { command: ['bash', '-c', script] }, /^turn/)
  await after.waitForLog('app', /^turn/, { nth: 6, deadlineMs: 120_000 })
  t.notMatch(after.logs('app'), /ended|Interrupted/)
})
