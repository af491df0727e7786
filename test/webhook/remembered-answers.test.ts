/** An answer that is remembered is the one that would have been given: by the whole server, asked again and again, of which the third time nothing is decided anew. */
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { makeAuthority, makeLeaf } from '../../certs/authority.ts'
import { AdmissionCounts } from '../../webhook/admission-counts.ts'
import { admit } from '../../webhook/admit.ts'
import { AnswerTimes } from '../../webhook/answer-times.ts'
import { admitWithImages, type TimedAdmit } from '../../webhook/admit-with-images.ts'
import { GuardCounts } from '../../webhook/guard/counts.ts'
import { Overload } from '../../webhook/overload.ts'
import { RememberedAnswers } from '../../webhook/remembered-answers.ts'
import { answerText, type AdmissionRequest } from '../../webhook/review.ts'
import { createServer } from '../../webhook/server.ts'
import { recorded, recordedReviews, sampleConfig } from './admission-fixtures.ts'
import { generatedPod } from './generated-pods.ts'

const config = sampleConfig()
const validity = { from: new Date(), days: 1 }
const certificate = makeLeaf(makeAuthority('test', validity), ['localhost'], validity)
const bare = recorded('create-bare-pod')
const beginning = '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":'

const waiting: TimedAdmit = async (request) => admit(request, 'namespace', config)
const failing: TimedAdmit = () => {
  throw new Error('once')
}

function start(test: Test, decide: TimedAdmit = admitWithImages(undefined)) {
  let decided = 0
  const counts = new AdmissionCounts()
  const lines: Record<string, unknown>[] = []
  const app = createServer({
    config,
    certificate,
    counts,
    times: new AnswerTimes(),
    guardCounts: new GuardCounts(),
    overload: new Overload(config.overload, () => 0),
    log: pino<never>({ level: 'info' }, { write: (line) => void lines.push(JSON.parse(line)) }),
    admit: (...given) => {
      decided++
      return decide(...given)
    },
  })
  test.teardown(() => app.close())
  const ask = async (payload: string, path = '/mutate/namespace') => {
    const headers = { 'content-type': 'application/json' }
    const reply = await app.inject({ method: 'POST', url: `${path}?timeout=10s`, payload, headers })
    return reply.body
  }
  return { ask, counts, lines, decided: () => decided }
}

/** What follows the uid. */
function restOf(request: AdmissionRequest): string {
  const { uid: _, ...rest } = request
  return JSON.stringify(rest).slice(1)
}

function reviewOf(request: AdmissionRequest, uid: string = randomUUID()): string {
  return `${beginning}"${uid}",${restOf(request)}}`
}

function expectedFor(request: AdmissionRequest, optedInBy: 'pod' | 'namespace' = 'namespace'): string {
  return answerText(admit(request, optedInBy, config).response)
}

t.test('every recorded review gets the same answer when it comes again with another uid', async (t) => {
  const { ask, decided } = start(t)
  for (const { name, text, request } of recordedReviews())
    for (const optedInBy of ['pod', 'namespace'] as const) {
      const before = decided()
      for (let time = 0; time < 4; time++) {
        const uid = randomUUID()
        const answer = await ask(text.replace(request.uid, uid), `/mutate/${optedInBy}`)
        t.equal(answer, expectedFor({ ...request, uid }, optedInBy), `${name}, time ${time + 1}`)
      }
      t.equal(decided() - before, 2, `${name}: the third time and the fourth nothing was decided`)
    }
})

t.test('so does every generated pod', async (t) => {
  const { ask, decided } = start(t)
  const runs = 300
  await fc.assert(
    fc.asyncProperty(generatedPod, fc.constantFrom('pod' as const, 'namespace' as const), async (pod, by) => {
      const request = { ...bare.request, object: JSON.parse(JSON.stringify(pod)) as unknown }
      for (let time = 0; time < 3; time++) {
        const uid = randomUUID()
        if ((await ask(reviewOf(request, uid), `/mutate/${by}`)) !== expectedFor({ ...request, uid }, by))
          return false
      }
      return true
    }),
    { numRuns: runs },
  )
  t.ok(decided() <= runs * 2, `${decided()} of ${runs * 3} were decided`)
})

t.test('what differs in anything but the uid has an answer of its own', async (t) => {
  const { ask } = start(t)
  const { request } = bare
  for (let time = 0; time < 3; time++) await ask(reviewOf(request))
  const object = structuredClone(bare.pod)
  Object.assign(object.spec.containers[0] ?? {}, { image: 'other:1' })
  const changes: Partial<AdmissionRequest>[] = [
    { namespace: 'other' },
    { operation: 'UPDATE' },
    { object },
    { dryRun: true },
  ]
  for (const change of changes) {
    const changed = { ...request, ...change, uid: randomUUID() }
    t.equal(await ask(reviewOf(changed, changed.uid)), expectedFor(changed), Object.keys(change).join())
  }
  const opted = { ...request, uid: randomUUID() }
  t.equal(
    await ask(reviewOf(opted, opted.uid), '/mutate/pod'),
    expectedFor(opted, 'pod'),
    'by the other path',
  )
})

t.test('a review whose uid is not where it seems to be is never taken for another', async (t) => {
  const { ask, decided } = start(t)
  const later = randomUUID()
  const rest = restOf(bare.request)
  const forms = [
    (uid: string) => `${beginning}"${uid}","uid":"${later}",${rest}}`,
    (uid: string) => `${beginning}"${uid}","\\u0075id":"${later}",${rest}}`,
    (uid: string) => `${beginning}"${uid}"},"request":{"uid":"${later}",${rest}}`,
    (uid: string) => `${beginning}"${uid}"},"request":{"uid":"${uid}",${rest}}`,
  ]
  for (const [index, form] of forms.entries())
    for (let time = 0; time < 4; time++) {
      const text = form(randomUUID())
      const { request } = JSON.parse(text) as { request: AdmissionRequest }
      t.equal(await ask(text), expectedFor(request), `form ${index + 1}`)
    }
  t.equal(decided(), forms.length * 4, 'each was decided')
})

t.test('a body that is not JSON is refused each time, however it begins', async (t) => {
  const { ask, decided } = start(t)
  for (let time = 0; time < 4; time++)
    t.match(await ask(`${beginning}"${randomUUID()}",`), /the body is not JSON/)
  t.equal(decided(), 0)
})

t.test('what had to be waited for, or failed, is decided anew each time', async (t) => {
  for (const decide of [waiting, failing]) {
    const { ask, decided } = start(t, decide)
    for (let time = 0; time < 4; time++) await ask(reviewOf(bare.request))
    t.equal(decided(), 4)
  }
})

t.test('each is counted and told of like any other', async (t) => {
  const { ask, counts, lines } = start(t)
  const uids = Array.from({ length: 5 }, () => randomUUID())
  for (const uid of uids) await ask(reviewOf(bare.request, uid))
  t.match(counts.text(), /outcome="inject",reason=""} 5\n/)
  t.same(
    lines.map(({ uid }) => uid),
    uids,
  )
  const facts = {
    outcome: 'inject',
    lineage: 'ml-team/Pod/bare-train',
    namespace: 'ml-team',
    pod: 'bare-train',
    dryRun: false,
  }
  t.match(lines.at(-1), facts)
  for (let time = 0; time < 4; time++) await ask(reviewOf({ ...bare.request, dryRun: true }))
  t.match(counts.text(), /outcome="inject",reason=""} 5\n/, 'a dry run is never counted')
})

t.test('no more is remembered than there is room for, and what is used stays', async (t) => {
  const answers = new RememberedAnswers()
  const { response, decision } = admit(bare.request, 'namespace', config)
  const about = { namespace: 'ml-team', pod: 'bare-train', dryRun: false }
  const offer = (key: string, more = '') =>
    answers.offer(key, about, { ...response, patch: `${response.patch}${more}` }, decision)
  offer('once')
  t.notOk(answers.find('once'), 'what came once is not kept')
  for (let key = 0; key < 1000; key++) {
    offer(`${key}`)
    offer(`${key}`)
    answers.find('0')
  }
  t.ok(answers.size <= 200, `${answers.size}`)
  t.ok(answers.find('0'), 'it is used all the time')
  t.ok(answers.find('999'), 'it is the newest')
  t.notOk(answers.find('1'))
  for (let key = 0; key < 20; key++)
    for (let time = 0; time < 2; time++) offer(`large ${key}`, 'A'.repeat(1024 * 1024))
  t.ok(answers.size <= 2, `${answers.size} large ones`)
  for (let key = 0; key < 3000; key++) offer(`sighted ${key}`)
  offer('sighted 0')
  t.notOk(answers.find('sighted 0'), 'keys are forgotten, too')
})
