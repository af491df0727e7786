/** A program that handles no signals does not expect a system call of its to fail with EINTR after a restore. */
import t from 'tap'
import { pythonImage } from '../images/debian.ts'
import { openStage, replaced } from './support.ts'

t.test('tail -F, which waits in poll, goes on after a restore', async (t) => {
  const stage = await openStage(t, { base: await pythonImage() })
  const script = `echo begins >/tmp/log
tail -n +1 -F /tmp/log &
turn=0
while kill -0 $!; do
  mark=$(cat /reprieve/run/app/restored 2>/dev/null) && [ "$mark" != "$seen" ] && echo "restored by $mark" && seen=$mark
  turn=$((turn + 1)); echo "turn $turn" >>/tmp/log; sleep 0.5
done
echo ended`
  const { before, after } = await replaced(stage, { command: ['bash', '-c', script] }, /^turn/)
  await after.waitForLog('app', /^turn/, { nth: 6, deadlineMs: 120_000 })
  await after.waitForLog('app', /^restored by \{"id":"[0-9a-f-]{36}","checkpoint":"/, { deadlineMs: 120_000 })
  t.notMatch(before.logs('app'), /restored by/, 'the application is told of a restore, and of nothing else')
  t.notMatch(after.logs('app'), /ended|Interrupted/)
})
