/**
 * Two real replicas under load, of which one is killed again and again: whoever asks gets the right answer, or is told by the connection that it got
 * none. Four kills, a minute of them in `make soak`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { bundlesIn, keeper, terms } from '../certs/cluster-stage.ts'
import { AdmissionLoad } from './admission-load.ts'
import { ControlPlane, untilReady } from './control-plane.ts'

const soaking = process.env.REPRIEVE_SOAK === '1'
const perSecond = 100
const everyMs = 1_500
const lastsMs = soaking ? 60_000 : 6_000
/** Two of each. */
const leastKills = 4
/** What a connection tells whose other end was killed: refused while nobody listens, reset or closed while somebody did. */
const ofTheConnection = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE'])

type Death = { replica: number; killedAt: number; backAt: number }

t.test('a replica that is killed gives no wrong answer, and costs only its own connections', async (t) => {
  const plane = await ControlPlane.open(t)
  await keeper(plane.server, { keeps: terms }).pass()
  const replicas = await Promise.all(['one', 'two'].map((name) => plane.startWebhook(name)))
  await Promise.all(replicas.map(untilReady))
  const ports = replicas.map((replica) => replica.ports.port)
  const load = new AdmissionLoad({
    perSecond,
    ports: () => ports,
    caBundle: () => bundlesIn(plane.server)[0] ?? '',
  })
  load.begin()
  t.teardown(() => load.end())
  await sleep(1000)

  const deaths: Death[] = []
  const begun = performance.now()
  let comingBack: Promise<void> = Promise.resolve()
  for (let count = 0; count < leastKills || performance.now() - begun < lastsMs; count++) {
    // The other one is up again: a replica that is there is what the figure is about.
    await comingBack
    const index = count % 2
    const victim = replicas[index]
    if (victim === undefined) throw new Error('there are two')
    const death: Death = { replica: index, killedAt: performance.now(), backAt: Infinity }
    deaths.push(death)
    await victim.kill('SIGKILL')
    comingBack = (async () => {
      const again = await plane.startWebhook(victim.name, victim.ports)
      replicas[index] = again
      await untilReady(again)
      death.backAt = performance.now()
    })()
    comingBack.catch(() => undefined)
    await sleep(Math.max(0, begun + (count + 1) * everyMs - performance.now()))
  }
  await comingBack
  await sleep(500)
  const asked = await load.end()

  const answered = asked.flatMap((one) => ('status' in one.outcome ? [{ ...one, outcome: one.outcome }] : []))
  const wrong = answered.filter(
    ({ outcome }) => outcome.status !== 200 || outcome.text !== answered[0]?.outcome.text,
  )
  t.same(wrong.slice(0, 3), [], `${wrong.length} wrong answers of ${answered.length}`)
  t.match(answered[0]?.outcome.text, '"patch":')
  const failed = asked.flatMap((one) =>
    'error' in one.outcome ? [{ ...one, error: one.outcome.error }] : [],
  )
  const unexplained = failed.filter(
    ({ replica, beganAt, endedAt, error }) =>
      !ofTheConnection.has(error) ||
      !deaths.some(
        (death) => death.replica === replica && endedAt >= death.killedAt && beganAt <= death.backAt,
      ),
  )
  t.same(unexplained.slice(0, 3), [], `${unexplained.length} failures that no kill explains`)
  t.ok(failed.length > 0, 'the kills were felt')
  for (const index of [0, 1]) {
    const dead = deaths.filter(({ replica }) => replica === index)
    t.ok(dead.length >= 2, `replica ${index} was killed ${dead.length} times`)
    const meanwhile = answered.filter(
      ({ replica, endedAt }) =>
      deaths.some((death) => death.replica !== index && replica === index && endedAt > death.killedAt && endedAt < death.backAt), // prettier-ignore
    )
    t.ok(meanwhile.length > 0, `replica ${index} answered ${meanwhile.length} times while the other was away`)
  }
  t.comment(`${deaths.length} kills, ${answered.length} right answers, ${failed.length} broken connections`)
})
