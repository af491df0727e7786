import t from 'tap'
import { nearMs, type Answer } from '../../../../sidecar/triggers/notices/answers.ts'
import { answeredFor, asksToHold, continuationsOf, deathsOf, dueFor, emptyBoard, freshMs, hear, noteAnswer, noteJoined, overdueMs, sameDeathMs, type NoticeBoard } from '../../../../sidecar/triggers/notices/notice-board.ts' // prettier-ignore
import type { Death, Notice } from '../../../../sidecar/triggers/notices/notice.ts'

const now = Date.parse('2026-03-04T05:06:07Z')
const day = 86_400_000

function notice(source: string, more: Partial<Notice> = {}): Notice {
  const plain = { id: 'one', container: undefined, deadline: now + 120_000, detail: '' } as const
  return { source, kind: 'machine-terminated', certainty: 'certain', ...plain, ...more }
}
const rebalance = notice('aws/rebalance', { kind: 'machine-at-risk', deadline: undefined, certainty: 'possible' }) // prettier-ignore

type Word = [source: string, notices: Notice[], at?: number]
function says(board: NoticeBoard, ...words: Word[]): NoticeBoard {
  return words.reduce((so, [source, notices, at = now]) => hear(so, source, notices, at).board, board)
}
const board = (...words: Word[]) => says(emptyBoard, ...words)

function only(board: NoticeBoard, at = now): Death {
  const deaths = deathsOf(board, 'app', at)
  if (deaths[0] === undefined || deaths.length > 1) throw new Error(`${deaths.length} deaths`)
  return deaths[0]
}
const due = (board: NoticeBoard, at = now): Answer => dueFor(board, only(board, at), at)?.answer ?? 'nothing'
/** As the trigger does: what is due is noted, and so is who has joined. */
function answered(board: NoticeBoard, at = now): NoticeBoard {
  return deathsOf(board, 'app', at).reduce((so, death) => {
    const { answer } = dueFor(so, death, at) ?? {}
    return answer === undefined ? noteJoined(so, death, at) : noteAnswer(so, death, answer, at)
  }, board)
}

t.test(
  'what several sources say of one machine is one death, by the earliest of their deadlines',
  async (t) => {
    const sources = ['aws/instance-action', 'aws/target-lifecycle-state', 'folder', 'gcp/preempted']
    const at = board(
      ...sources.map((source, index): Word => [
        source,
        Array.from({ length: 5 }, (_, count) =>
          notice(source, { id: String(count), deadline: now + 120_000 + index * 1_000 + count }),
        ),
      ]),
    )
    t.match(deathsOf(at, 'app', now), [{ deadline: now + 120_000, notices: { length: 20 } }])
    t.equal(deathsOf(at, 'app', now).length, 1)
  },
)

t.test('what is repeated changes nothing', async (t) => {
  const at = answered(board(['a', [notice('a')]]))
  const again = hear(at, 'a', [notice('a')], now + 5_000)
  t.same([again.appeared, again.withdrawn, again.changed], [[], [], []])
  t.equal(due(again.board, now + 5_000), 'nothing')
})

t.test(
  'another source that joins a death finds it answered, and keeps it so when the first is withdrawn',
  async (t) => {
    const once = answered(board(['a', [notice('a')]]))
    const joined = answered(says(once, ['b', [notice('b')], now + 30_000]), now + 30_000)
    t.equal(due(joined, now + 30_000), 'nothing')
    const less = says(joined, ['a', [], now + 40_000])
    t.equal(answeredFor(less, only(less, now + 40_000)), 'checkpoint-and-hold')
    t.equal(due(less, now + 40_000), 'nothing')
    t.equal(asksToHold(less, 'app', now + 40_000), true)
    t.equal(asksToHold(says(less, ['b', []]), 'app', now + 40_000), false)
  },
)

t.test('what its source does not say any more is withdrawn, and a new one is another death', async (t) => {
  const once = board(['a', [notice('a')]])
  const death = only(once)
  const { board: empty, withdrawn } = hear(answered(once), 'a', [], now)
  t.match(withdrawn, [{ source: 'a', id: 'one' }])
  t.same(deathsOf(empty, 'app', now), [])
  t.same(continuationsOf(empty, death, now), [])
  const { board: anew, appeared } = hear(empty, 'a', [notice('a')], now)
  t.equal(appeared.length, 1)
  t.equal(due(anew), 'checkpoint-and-hold')
})

t.test('a warning that stays does not make the second termination look answered', async (t) => {
  const first = answered(board(['aws/rebalance', [rebalance]], ['aws/instance-action', [notice('aws/instance-action')]])) // prettier-ignore
  const between = says(first, ['aws/instance-action', []])
  t.equal(answeredFor(between, only(between)), 'checkpoint-and-resume')
  t.equal(due(between), 'nothing')
  const second = says(between, ['aws/instance-action', [notice('aws/instance-action', { id: 'two' })]])
  t.equal(due(second), 'checkpoint-and-hold')
})

t.test('nor does it keep a container held, or have it held', async (t) => {
  const at = answered(board(['aws/rebalance', [rebalance]], ['a', [notice('a')]]))
  t.equal(asksToHold(at, 'app', now), true)
  t.equal(asksToHold(says(at, ['a', []]), 'app', now), false)
  t.equal(asksToHold(at, 'app', now + 120_000 + overdueMs + 1), false, 'long after it should have come')
  t.equal(asksToHold(says(at, ['a', [notice('a', { deadline: now + day })]]), 'app', now), false, 'it was put off') // prettier-ignore
})

t.test('a warning that was answered long ago does not answer what is said today', async (t) => {
  const later = now + 3 * day
  const warned = answered(board(['aws/rebalance', [rebalance]]))
  t.equal(due(warned, later), 'nothing', 'nor is it answered again itself')
  const likely = notice('aws/scheduled', {
    kind: 'machine-stopped',
    certainty: 'likely',
    deadline: later + 60_000,
  })
  t.equal(due(says(warned, ['aws/scheduled', [likely], later]), later), 'checkpoint-and-resume')
  const soon = { ...likely, deadline: now + 60_000 }
  t.equal(due(says(warned, ['aws/scheduled', [soon], now + 30_000]), now + 30_000), 'nothing', 'and what is fresh does') // prettier-ignore
})

t.test('what was done when it was far does not do when it is near', async (t) => {
  for (const [kind, certainty, near] of [
    ['machine-stopped', 'likely', 'checkpoint-and-resume'],
    ['machine-terminated', 'certain', 'checkpoint-and-hold'],
    ['machine-rebooted', 'likely', 'checkpoint-and-resume'],
  ] as const) {
    const deadline = now + 14 * day
    const far = answered(board(['aws/scheduled', [notice('aws/scheduled', { kind, certainty, deadline })]]))
    t.equal(due(far, now + 13 * day), 'nothing', kind)
    const at = deadline - nearMs
    t.equal(due(far, at), near, kind)
    t.equal(due(answered(far, at), at + 60_000), 'nothing', `${kind}: once`)
    t.equal(due(answered(far, at), deadline + 1), 'nothing', `${kind}: nor when it is over`)
  }
  const soon = board(['a', [notice('a', { kind: 'machine-stopped', certainty: 'likely', deadline: now + nearMs + freshMs })]]) // prettier-ignore
  t.equal(due(answered(soon), now + freshMs), 'nothing', 'what is fresh does')
})

t.test('a deadline that is moved is the same notice, and is told', async (t) => {
  const at = answered(board(['a', [notice('a', { deadline: now + 900_000 })]]))
  const moved = hear(at, 'a', [notice('a', { deadline: now + 400_000 })], now + 300_000)
  t.same([moved.appeared, moved.withdrawn], [[], []])
  t.match(moved.changed, [{ deadline: now + 400_000 }])
  t.match(only(moved.board, now + 300_000), { deadline: now + 400_000 })
  t.equal(due(moved.board, now + 300_000), 'checkpoint-and-hold')
  t.match(hear(at, 'a', [notice('a', { deadline: now + 900_000, certainty: 'likely' })], now).changed, [{ certainty: 'likely' }]) // prettier-ignore
})

t.test('what a source says again under another name is the same notice', async (t) => {
  const once = board(['a', [notice('a')]])
  const death = only(once)
  const renamed = hear(
    answered(once),
    'a',
    [notice('a', { id: 'two', deadline: now + 121_000 })],
    now + 1_000,
  )
  t.same([renamed.appeared, renamed.withdrawn], [[], []])
  t.equal(due(renamed.board, now + 1_000), 'nothing')
  t.equal(continuationsOf(renamed.board, death, now + 1_000).length, 1)
  for (const [what, other, at] of [
    ['another source', notice('b', { id: 'two' }), now],
    ['another kind', notice('a', { id: 'two', kind: 'machine-stopped' }), now],
    ['another container', notice('a', { id: 'two', container: 'app' }), now],
    ['another instant', notice('a', { id: 'two', deadline: now + 600_000 }), now],
    ['one that is over', notice('a', { id: 'two', deadline: now + 150_000 }), now + 120_001],
    ['one of which nobody says when', notice('a', { id: 'two', deadline: undefined }), now],
  ] as const) {
    const heard = hear(answered(once), other.source, [other], at)
    t.equal(heard.appeared.length, 1, what)
  }
})

t.test('ends that are far apart are two deaths, the nearest first', async (t) => {
  const later = notice('aws/scheduled', { kind: 'machine-rebooted', deadline: now + 3 * day })
  const at = board(['aws/scheduled', [later]], ['aws/rebalance', [rebalance]], ['a', [notice('a')]])
  t.match(deathsOf(at, 'app', now), [
    { deadline: now + 120_000, notices: [{ source: 'a' }, { source: 'aws/rebalance' }] },
    { deadline: now + 3 * day, notices: [{ source: 'aws/scheduled' }] },
  ])
  const edge = board(['a', [notice('a'), notice('a', { id: 'two', deadline: now + 120_000 + sameDeathMs })]])
  t.equal(deathsOf(edge, 'app', now).length, 1, 'and those that are not are one')
})

t.test('a container dies by what is said of it and of the pod, and of no other container', async (t) => {
  const at = board(['folder', [notice('folder', { container: 'app' }), notice('folder', { id: 'two' })]])
  t.match(only(at), { notices: { length: 2 } })
  t.match(deathsOf(at, 'other', now), [{ container: 'other', notices: [{ id: 'two' }] }])
  const ofApp = answered(at)
  t.equal(due(ofApp), 'nothing')
  const [other] = deathsOf(ofApp, 'other', now)
  t.match(other && dueFor(ofApp, other, now), { answer: 'checkpoint-and-hold' })
  t.equal(asksToHold(says(at, ['folder', [notice('folder', { container: 'app' })]]), 'other', now), false)
})

t.test('of several deadlines the next counts, not one that is over', async (t) => {
  const at = board(['a', [notice('a')]], ['b', [notice('b', { deadline: now + 240_000 })]])
  t.match(only(at, now + 121_000), { deadline: now + 240_000 })
  t.match(only(at, now + 241_000), { deadline: now + 240_000 })
})

t.test('what only makes the machine stand still is no death', async (t) => {
  t.same(deathsOf(board(['gcp', [notice('gcp', { kind: 'machine-frozen' })]]), 'app', now), [])
})

t.test('a machine that is still there long after its deadline was not taken', async (t) => {
  const at = answered(board(['a', [notice('a')]]))
  const later = now + 120_000 + overdueMs + 1
  t.same(deathsOf(at, 'app', later), [])
  t.same(continuationsOf(at, only(at), later), [])
  const second = says(at, ['b', [notice('b', { deadline: later + 120_000 })], later])
  t.equal(due(second, later), 'checkpoint-and-hold', 'the next one is another death')
})
