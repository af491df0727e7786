/** Point b: ten generations in a row, each a new pod that goes on from its forerunner's checkpoint. */
import t from 'tap'
import { application, deadlineMs, openStage, podOf, sidecarEntries } from './support.ts'

const generations = 10

t.test('each generation goes on where its forerunner stopped, and says so in its own log', async (t) => {
  const stage = await openStage(t, { programs: ['steps.c'] })
  const counted = { stdout: [] as number[], stderr: [] as number[] }
  let held = 0
  for (let generation = 1; generation <= generations; generation++) {
    const pod = await stage.run(podOf({ command: ['/app/steps', '100000', '10'] }))
    for (const line of [/^step /, /^note /]) await pod.waitForLog(application, line, { nth: 10, deadlineMs })
    await pod.evict()

    const own = { stdout: [] as number[], stderr: [] as number[] }
    for (const { stream, text } of pod.logLines(application)) {
      const match = (stream === 'stdout' ? /^step (\d+) / : /^note (\d+)$/).exec(text)
      own[stream].push(match === null ? Number.NaN : Number(match[1]))
    }
    const newest = (await stage.manifests())[0]?.id
    const taken = sidecarEntries(pod).find(({ msg }) => msg === 'a checkpoint was taken')
    const goesOn = (['stdout', 'stderr'] as const).every((stream) => {
      const first = (counted[stream].at(-1) ?? 0) + 1
      return own[stream].length >= 10 && own[stream].every((step, index) => step === first + index)
    })
    if (goesOn && newest !== undefined && newest === taken?.checkpoint) held++
    else t.fail(`generation ${generation} does not go on:\n${pod.describe()}`)
    for (const stream of ['stdout', 'stderr'] as const) counted[stream].push(...own[stream])
  }
  t.comment(`generations: ${generations} ran, ${held} held, ${counted.stdout.length} steps in all`)
  t.equal(held, generations)
  t.equal((await stage.manifests()).length, 3, 'the store holds as many checkpoints as are to be kept')
})
