import t from 'tap'
import { answerToDeath } from '../../../sidecar/notices/answers.ts'
import { answeredFor, deathsOf, emptyBoard, hear, noteAnswer, overdueMs, sameDeathMs, stands, type NoticeBoard } from '../../../sidecar/notices/notice-board.ts' // prettier-ignore
import type { Notice } from '../../../sidecar/notices/notice.ts'

const now = Date.parse('2026-03-04T05:06:07Z')

function notice(source: string, more: Partial<Notice> = {}): Notice {
  const plain = { id: 'one', container: undefined, deadline: now + 120_000, detail: '' } as const
  return { source, kind: 'machine-terminated', certainty: 'certain', ...plain, ...more }
}
function board(...answersOfSources: [string, Notice[]][]): NoticeBoard {
  return answersOfSources.reduce((at, [source, notices]) => hear(at, source, notices).board, emptyBoard)
}

t.test(
  'what several sources say of one machine is one death, by the earliest of their deadlines',
  async (t) => {
    const sources = ['aws/instance-action', 'aws/target-lifecycle-state', 'folder', 'gcp/preempted']
    const at = board(
      ...sources.map((source, index): [string, Notice[]] => [
        source,
        Array.from({ length: 5 }, (_, count) =>
          notice(source, { id: String(count), deadline: now + 120_000 + index * 1_000 + count }),
        ),
      ]),
    )
    t.match(deathsOf(at, now), [{ deadline: now + 120_000, notices: { length: 20 } }])
    t.equal(deathsOf(at, now).length, 1)
  },
)

t.test('what is repeated changes nothing', async (t) => {
  const once = board(['a', [notice('a')]])
  const [death] = deathsOf(once, now)
  if (death === undefined) throw new Error('no death')
  const answered = noteAnswer(once, death, 'checkpoint-and-hold')
  const { board: again, appeared, withdrawn } = hear(answered, 'a', [notice('a')])
  t.same([appeared, withdrawn], [[], []])
  t.same(deathsOf(again, now).map((death) => answeredFor(again, death)), ['checkpoint-and-hold']) // prettier-ignore
})

t.test('another source that joins a death finds it answered', async (t) => {
  const once = board(['a', [notice('a')]])
  const answered = deathsOf(once, now).reduce(
    (at, death) => noteAnswer(at, death, 'checkpoint-and-hold'),
    once,
  )
  const joined = hear(answered, 'b', [notice('b')]).board
  t.same(deathsOf(joined, now).map((death) => answeredFor(joined, death)), ['checkpoint-and-hold']) // prettier-ignore
})

t.test('what its source does not say any more is withdrawn, and a new one is another death', async (t) => {
  const once = board(['a', [notice('a')]])
  const [death] = deathsOf(once, now)
  if (death === undefined) throw new Error('no death')
  const answered = noteAnswer(once, death, 'checkpoint-and-hold')
  const { board: empty, withdrawn } = hear(answered, 'a', [])
  t.match(withdrawn, [{ source: 'a', id: 'one' }])
  t.same(deathsOf(empty, now), [])
  t.equal(stands(empty, death, now), false)
  const { board: anew, appeared } = hear(empty, 'a', [notice('a')])
  t.equal(appeared.length, 1)
  t.same(deathsOf(anew, now).map((death) => answeredFor(anew, death)), ['nothing']) // prettier-ignore
})

t.test('a death stands for as long as one source says so', async (t) => {
  const at = board(['a', [notice('a')]], ['b', [notice('b')]])
  const [death] = deathsOf(at, now)
  if (death === undefined) throw new Error('no death')
  const less = hear(noteAnswer(at, death, 'checkpoint-and-hold'), 'a', []).board
  t.equal(stands(less, death, now), true)
  t.same(deathsOf(less, now).map((death) => answeredFor(less, death)), ['checkpoint-and-hold']) // prettier-ignore
  t.equal(stands(hear(less, 'b', []).board, death, now), false)
})

t.test('a warning that stays does not make the second termination look answered', async (t) => {
  const warning = notice('aws/rebalance', {
    kind: 'machine-at-risk',
    deadline: undefined,
    certainty: 'possible',
  })
  const first = board(['aws/rebalance', [warning]], ['aws/instance-action', [notice('aws/instance-action')]])
  const answered = deathsOf(first, now).reduce(
    (at, death) => noteAnswer(at, death, 'checkpoint-and-hold'),
    first,
  )
  const between = hear(answered, 'aws/instance-action', []).board
  t.same(deathsOf(between, now).map((death) => answeredFor(between, death)), ['checkpoint-and-resume']) // prettier-ignore
  const second = hear(between, 'aws/instance-action', [notice('aws/instance-action', { id: 'two' })]).board
  const [death] = deathsOf(second, now)
  if (death === undefined) throw new Error('no death')
  t.equal(answeredFor(second, death), 'checkpoint-and-resume')
  t.equal(answerToDeath(death, now).answer, 'checkpoint-and-hold', 'there is more to be done')
})

t.test('ends that are far apart are two deaths, the nearest first', async (t) => {
  const later = notice('aws/scheduled', { kind: 'machine-rebooted', deadline: now + 3 * 86_400_000 })
  const vague = notice('aws/rebalance', {
    kind: 'machine-at-risk',
    deadline: undefined,
    certainty: 'possible',
  })
  const at = board(['aws/scheduled', [later]], ['aws/rebalance', [vague]], ['a', [notice('a')]])
  t.match(deathsOf(at, now), [
    { deadline: now + 120_000, notices: [{ source: 'a' }, { source: 'aws/rebalance' }] },
    { deadline: now + 3 * 86_400_000, notices: [{ source: 'aws/scheduled' }] },
  ])
  const edge = board(['a', [notice('a'), notice('a', { id: 'two', deadline: now + 120_000 + sameDeathMs })]])
  t.equal(deathsOf(edge, now).length, 1, 'and those that are not are one')
})

t.test('a container dies its own death', async (t) => {
  const at = board(['folder', [notice('folder', { container: 'app' }), notice('folder', { id: 'two' })]])
  t.same(deathsOf(at, now).map(({ container }) => container).sort(), ['app', undefined]) // prettier-ignore
})

t.test('a deadline that is moved is the same notice', async (t) => {
  const once = board(['a', [notice('a')]])
  const moved = hear(once, 'a', [notice('a', { deadline: now + 60_000 })])
  t.same([moved.appeared, moved.withdrawn], [[], []])
  t.match(deathsOf(moved.board, now), [{ deadline: now + 60_000 }])
})

t.test('what only makes the machine stand still is no death', async (t) => {
  t.same(deathsOf(board(['gcp', [notice('gcp', { kind: 'machine-frozen' })]]), now), [])
})

t.test('a machine that is still there long after its deadline was not taken', async (t) => {
  const at = board(['a', [notice('a')]])
  const [death] = deathsOf(at, now)
  if (death === undefined) throw new Error('no death')
  const answered = noteAnswer(at, death, 'checkpoint-and-hold')
  const later = now + 120_000 + overdueMs + 1
  t.same(deathsOf(answered, later), [])
  t.equal(stands(answered, death, later - 2), true)
  t.equal(stands(answered, death, later), false)
  const second = hear(answered, 'b', [notice('b', { deadline: later + 120_000 })]).board
  t.same(deathsOf(second, later).map((death) => answeredFor(second, death)), ['nothing'], 'the next one is another death') // prettier-ignore
})
