/** Attributes of processes and threads that CRIU does not bring back by itself. */
import t from 'tap'
import type { Pod } from '../harness/pod.ts'
import { pythonImage } from '../images/debian.ts'
import { application, openStage, replaced, statusOf } from './support.ts'

const processors = (pod: Pod) =>
  new Set(pod.logLines(application).flatMap(({ text }) => /^turn (?!1 )\d+ (main .*)$/.exec(text)?.[1] ?? []))

t.test('a process and a thread keep their processors, and nothing else is lost without a word', async (t) => {
  const stage = await openStage(t, { base: await pythonImage(), programs: ['attributes.py'] })
  const command = ['python3', '-u', '/app/attributes.py']
  const { before, after } = await replaced(stage, { command }, /^turn (?!1 )/)
  t.match([...processors(before)], [/^main \[0\] thread \[\d+\]$/])
  t.same(processors(after), processors(before))
  t.same((await statusOf(after)).containers[0]?.lostAttributes, [])
})
