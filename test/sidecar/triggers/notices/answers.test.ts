import t from 'tap'
import { answers, answerTable, answerTo, explainAnswers, isStronger, nearMs, reconsiderAt, strongestOf } from '../../../../sidecar/triggers/notices/answers.ts' // prettier-ignore
import {
  certainties,
  noticeKinds,
  type Notice,
  type NoticeKind,
} from '../../../../sidecar/triggers/notices/notice.ts'

const now = Date.parse('2026-03-04T05:06:07Z')
const at = (kind: NoticeKind, deadline: number | undefined, certainty: Notice['certainty'] = 'certain'): Notice =>
  ({ source: 's', id: kind, kind, container: undefined, deadline, certainty, detail: '' }) // prettier-ignore

t.test('nothing but what is certain, near and ends the machine may end the application', async (t) => {
  for (const kind of Object.keys(noticeKinds) as NoticeKind[])
    for (const certainty of certainties)
      for (const deadline of [
        undefined,
        now - 1,
        now + 30_000,
        now + nearMs,
        now + nearMs + 1,
        now + 10 ** 9,
      ]) {
        const ends = answerTo(at(kind, deadline, certainty), now) === 'checkpoint-and-hold'
        const isNear = deadline !== undefined && deadline - now <= nearMs
        const isEnd = ['machine-terminated', 'machine-stopped', 'pod-ended'].includes(kind)
        t.equal(ends, certainty === 'certain' && isNear && isEnd, `${kind} ${certainty} ${String(deadline)}`)
      }
})

t.test('no answer gets weaker as its deadline comes nearer', async (t) => {
  for (const [kind, { far, near, unknown }] of Object.entries(answerTable)) {
    t.notOk(isStronger(far, near), kind)
    t.notOk(isStronger(unknown, near), kind)
  }
})

t.test('what is far is thought of again when it is near, if anything is to be done then', async (t) => {
  const deadline = now + 10 * nearMs
  t.equal(reconsiderAt(at('machine-rebooted', deadline), now), deadline - nearMs)
  t.equal(answerTo(at('machine-rebooted', deadline), deadline - nearMs), 'checkpoint-and-resume')
  t.equal(
    reconsiderAt(at('machine-terminated', deadline, 'likely'), now),
    deadline - nearMs,
    'what was saved then is old',
  )
  t.equal(reconsiderAt(at('machine-terminated', now + 1), now), undefined)
  t.equal(reconsiderAt(at('machine-terminated', undefined), now), undefined)
  t.equal(reconsiderAt(at('machine-frozen', deadline), now), undefined)
})

t.test('of several answers the strongest counts, and the first of those', async (t) => {
  const all = (['prepare', 'checkpoint-and-hold', 'nothing', 'checkpoint-and-hold'] as const).map((answer, index) => ({ answer, index })) // prettier-ignore
  t.same(strongestOf(all), all[1])
  t.equal(strongestOf([]), undefined)
})

t.test('the explanation has every kind and every answer', async (t) => {
  const text = explainAnswers()
  for (const kind of Object.keys(noticeKinds)) t.match(text, `| \`${kind}\` |`)
  for (const answer of Object.keys(answers)) t.match(text, `- \`${answer}\`: `)
})
