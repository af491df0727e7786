/**
 * All standing notices, and the answers so far. Pure: each report of a source gives a new board. Several sources report one death, one after
 * another and repeatedly; it is one death for as long as any of its notices stands.
 */
import { answerTo, isStronger, nearMs, strongestOf, whenIs, type Answer } from './answers.ts'
import { keyOf, type Death, type Notice } from './notice.ts'

export type NoticeBoard = {
  /** By `keyOf`. */
  readonly standing: ReadonlyMap<string, Standing>
}
export type Standing = {
  readonly notice: Notice
  /** When it was heard first, milliseconds since the epoch. */
  readonly since: number
  /** By container. */
  readonly answered: ReadonlyMap<string, Answered>
}
export type Answered = { readonly answer: Answer; readonly at: number }

export const emptyBoard: NoticeBoard = { standing: new Map() }

/** A reboot in three days is another death than the termination in two minutes; announcements of one differ by seconds. */
export const sameDeathMs = 600_000
/** A source that says the same under another name (a file that is written anew, an instant that moves by a second) says one thing. */
export const sameWordMs = 60_000
/** Sources report one death within half a minute (docs/notices.md); what was done so long before is no answer to what is said now. */
export const freshMs = 120_000
/** A machine that is still there so long after its deadline was not taken. */
// @deadline An announced end does not come | A held container restarts, this long after the end
export const overdueMs = 300_000

/** `changed`: said before, and now of another instant, of another kind, or more surely. */
export type Heard = { board: NoticeBoard; appeared: Notice[]; withdrawn: Notice[]; changed: Notice[] }

/** All that a source says now; what it said before and does not say any more is withdrawn. */
export function hear(board: NoticeBoard, source: string, notices: readonly Notice[], now: number): Heard {
  const said = new Map(notices.map((notice) => [keyOf(notice), notice]))
  const isOwn = ({ notice }: Standing) => notice.source === source
  const standing = new Map([...board.standing].filter(([, one]) => !isOwn(one)))
  const gone = new Set(
    [...board.standing.values()].filter((one) => isOwn(one) && !said.has(keyOf(one.notice))),
  )
  const [appeared, changed]: [Notice[], Notice[]] = [[], []]
  for (const [key, notice] of said) {
    const renamed = [...gone].find((one) => isSameWord(one.notice, notice, now))
    const before = board.standing.get(key) ?? renamed
    if (before !== undefined) gone.delete(before)
    if (before === undefined) appeared.push(notice)
    else if (!saysTheSame(before.notice, notice)) changed.push(notice)
    // It may say more than before, but has been answered as far as it has been.
    standing.set(key, { since: now, answered: new Map(), ...before, notice })
  }
  return { board: { standing }, appeared, changed, withdrawn: [...gone].map(({ notice }) => notice) }
}

function isSameWord(one: Notice, other: Notice, now: number): boolean {
  if (one.kind !== other.kind || one.container !== other.container) return false
  // Nobody says of what is not dated whether it is another.
  if (one.deadline === undefined || other.deadline === undefined) return false
  return one.deadline > now && Math.abs(one.deadline - other.deadline) <= sameWordMs
}

function saysTheSame(one: Notice, other: Notice): boolean {
  return one.deadline === other.deadline && one.kind === other.kind && one.certainty === other.certainty
}

/** The deaths of a container that the standing notices announce, the nearest first; those of which nobody says when join the nearest that is ahead. */
export function deathsOf(board: NoticeBoard, container: string, now: number): Death[] {
  const notices = [...board.standing.values()].flatMap(({ notice }) =>
    // What only makes the machine stand still is no death, and must not hide one.
    concerns(notice, container) && notice.kind !== 'machine-frozen' && !isOverdue(notice, now)
      ? [notice]
      : [],
  )
  const undated = notices.filter(({ deadline }) => deadline === undefined)
  const dated = notices.filter(({ deadline }) => deadline !== undefined)
  const groups: Notice[][] = []
  for (const notice of dated.sort((a, b) => timeOf(a) - timeOf(b))) {
    const group = groups.at(-1)
    if (group?.[0] !== undefined && timeOf(notice) - timeOf(group[0]) <= sameDeathMs) group.push(notice)
    else groups.push([notice])
  }
  const nearest = groups.find((group) => group.some(({ deadline }) => (deadline ?? 0) > now))
  if (nearest !== undefined) nearest.push(...undated)
  else if (undated.length > 0) groups.push(undated)
  return groups.map((group) => ({ container, deadline: nextDeadline(group, now), notices: group }))
}

function nextDeadline(notices: readonly Notice[], now: number): number | undefined {
  const deadlines = notices.flatMap(({ deadline }) => deadline ?? [])
  if (deadlines.length === 0) return undefined
  const ahead = deadlines.filter((deadline) => deadline > now)
  return ahead.length > 0 ? Math.min(...ahead) : Math.max(...deadlines)
}

function concerns(notice: Notice, container: string): boolean {
  return notice.container === undefined || notice.container === container
}

function isOverdue(notice: Notice, now: number): boolean {
  return timeOf(notice) + overdueMs < now
}

function timeOf({ deadline }: { deadline: number | undefined }): number {
  return deadline ?? Number.POSITIVE_INFINITY
}

/** What is still to be done for a death, and which notice asks for it. */
export function dueFor(
  board: NoticeBoard,
  death: Death,
  now: number,
): { answer: Answer; because: Notice } | undefined {
  const due = death.notices
    .map((notice) => ({ answer: answerTo(notice, now), because: notice }))
    .filter(({ answer, because }) => isStronger(answer, doneFor(board, death, because, now)))
  return strongestOf(due)
}

/**
 * The strongest that was done for any notice of the death, so far as it answers this one as well: what is near is not answered by
 * what was done when it was far, nor what is said now by what was done for a warning that has stood for days.
 */
function doneFor(board: NoticeBoard, death: Death, notice: Notice, now: number): Answer {
  return freshFor(board, death, notice, now)?.answer ?? 'nothing'
}

function freshFor(board: NoticeBoard, death: Death, notice: Notice, now: number): Answered | undefined {
  const from = freshFrom(notice, board.standing.get(keyOf(notice))?.since ?? now, now)
  return strongestOf(answeredOf(board, death).filter(({ at }) => at >= from))
}

function freshFrom(notice: Notice, since: number, now: number): number {
  const isNear = whenIs(notice.deadline, now) === 'near'
  return (isNear ? Math.max(since, timeOf(notice) - nearMs) : since) - freshMs
}

/** The strongest that was done for any notice of the death, since an instant or however long ago. */
export function answeredFor(board: NoticeBoard, death: Death, since = -Infinity): Answer {
  return strongestOf(answeredOf(board, death).filter(({ at }) => at > since))?.answer ?? 'nothing'
}

function answeredOf(board: NoticeBoard, { container, notices }: Death): Answered[] {
  return notices.flatMap((notice) => board.standing.get(keyOf(notice))?.answered.get(container) ?? [])
}

/**
 * Notes what is done for a death, with every notice of it that still stands, but with none more than it asks for itself: a
 * warning that stands for days must not make a second termination look answered because the first one was.
 */
export function noteAnswer(board: NoticeBoard, death: Death, answer: Answer, now: number): NoticeBoard {
  return note(board, death, ({ notice, since }, own) =>
    own !== undefined && isStronger(own.answer, answer) && own.at >= freshFrom(notice, since, now)
      ? own
      : { answer, at: now },
  )
}

/** A held container was released: it would have to be held again, but its checkpoint stays. */
export function noteReleased(board: NoticeBoard, container: string): NoticeBoard {
  const standing = [...board.standing].map(([key, one]): [string, Standing] => {
    const own = one.answered.get(container)
    if (own?.answer !== 'checkpoint-and-hold') return [key, one]
    const less = { ...own, answer: 'checkpoint-and-resume' } as const
    return [key, { ...one, answered: new Map(one.answered).set(container, less) }]
  })
  return { standing: new Map(standing) }
}

/** And where nothing is due: who has joined a death since it was answered keeps it answered when the first is withdrawn. */
export function noteJoined(board: NoticeBoard, death: Death, now: number): NoticeBoard {
  return note(board, death, ({ notice }, own) => own ?? freshFor(board, death, notice, now))
}

function note(
  board: NoticeBoard,
  death: Death,
  answerOf: (standing: Standing, own: Answered | undefined) => Answered | undefined,
): NoticeBoard {
  const standing = new Map(board.standing)
  for (const notice of death.notices) {
    const before = standing.get(keyOf(notice))
    const answered = before && answerOf(before, before.answered.get(death.container))
    if (before === undefined || answered === undefined) continue
    const most = answerTo(notice, notice.deadline ?? 0)
    const own = isStronger(answered.answer, most) ? { ...answered, answer: most } : answered
    standing.set(keyOf(notice), { ...before, answered: new Map(before.answered).set(death.container, own) })
  }
  return { standing }
}

/** What has become of a death since: those that have a notice of it, with all that has joined them. Empty: it was withdrawn, or did not come. */
export function continuationsOf(board: NoticeBoard, death: Death, now: number): Death[] {
  const isSame = (one: Notice) =>
    death.notices.some(
      (other) =>
        keyOf(one) === keyOf(other) || (one.source === other.source && isSameWord(other, one, -Infinity)),
    )
  return deathsOf(board, death.container, now).filter(({ notices }) => notices.some(isSame))
}

/** Whether anything says now that the container is to be held. */
export function asksToHold(board: NoticeBoard, container: string, now: number): boolean {
  return [...board.standing.values()].some(
    ({ notice }) =>
      concerns(notice, container) &&
      !isOverdue(notice, now) &&
      answerTo(notice, now) === 'checkpoint-and-hold',
  )
}
