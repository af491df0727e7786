/**
 * All notices that stand, and what was already done about them. Pure: each answer of a source gives a new board. Several
 * sources tell of one death, one after another and again and again; it is one death for as long as any of them stands.
 */
import { answerTo, isStronger, type Answer } from './answers.ts'
import { keyOf, type Death, type Notice } from './notice.ts'

export type NoticeBoard = {
  /** By `keyOf`. */
  readonly standing: ReadonlyMap<string, Standing>
}
export type Standing = { notice: Notice; answered: Answer }

export const emptyBoard: NoticeBoard = { standing: new Map() }

/** A reboot in three days is another death than the termination in two minutes; announcements of one differ by seconds. */
export const sameDeathMs = 600_000

export type Heard = { board: NoticeBoard; appeared: Notice[]; withdrawn: Notice[] }

/** All that a source says now; what it said before and does not say any more is withdrawn. */
export function hear(board: NoticeBoard, source: string, notices: readonly Notice[]): Heard {
  const said = new Map(notices.map((notice) => [keyOf(notice), notice]))
  const standing = new Map<string, Standing>()
  const withdrawn: Notice[] = []
  for (const [key, stands] of board.standing) {
    const now = said.get(key)
    if (stands.notice.source !== source) standing.set(key, stands)
    else if (now === undefined) withdrawn.push(stands.notice)
    // It may say more than before (a deadline that moved), but has been answered as far as it has been.
    else standing.set(key, { notice: now, answered: stands.answered })
  }
  const appeared = [...said].filter(([key]) => !board.standing.has(key)).map(([, notice]) => notice)
  for (const notice of appeared) standing.set(keyOf(notice), { notice, answered: 'nothing' })
  return { board: { standing }, appeared, withdrawn }
}

/** A machine that is still there so long after its deadline was not taken. */
export const overdueMs = 300_000

/** The deaths that the standing notices announce, the nearest first; those of which nobody says when join the nearest. */
export function deathsOf(board: NoticeBoard, now: number): Death[] {
  const subjects = new Map<string | undefined, Notice[]>()
  for (const { notice } of board.standing.values()) {
    // What only makes the machine stand still is no death, and must not hide one.
    if (notice.kind === 'machine-frozen' || timeOf(notice) + overdueMs < now) continue
    subjects.set(notice.container, [...(subjects.get(notice.container) ?? []), notice])
  }
  return [...subjects.values()].flatMap(groupByTime).sort((a, b) => timeOf(a) - timeOf(b))
}

function groupByTime(notices: Notice[]): Death[] {
  const dated = notices.filter(({ deadline }) => deadline !== undefined)
  const undated = notices.filter(({ deadline }) => deadline === undefined)
  const groups: Notice[][] = []
  for (const notice of dated.sort((a, b) => timeOf(a) - timeOf(b))) {
    const group = groups.at(-1)
    if (group?.[0] !== undefined && timeOf(notice) - timeOf(group[0]) <= sameDeathMs) group.push(notice)
    else groups.push([notice])
  }
  if (groups.length === 0) groups.push(undated)
  else groups[0]?.push(...undated)
  return groups.map((group) => ({
    container: group[0]?.container,
    deadline: dated.length === 0 ? undefined : group[0]?.deadline,
    notices: group,
  }))
}

function timeOf({ deadline }: { deadline: number | undefined }): number {
  return deadline ?? Number.POSITIVE_INFINITY
}

/** The strongest that was done for any notice of the death. */
export function answeredFor(board: NoticeBoard, death: Death): Answer {
  return death.notices
    .map((notice) => board.standing.get(keyOf(notice))?.answered ?? 'nothing')
    .reduce((most, answer) => (isStronger(answer, most) ? answer : most), 'nothing')
}

/**
 * Notes what was done for a death, with every notice of it that still stands, but with none more than it asks for itself: a
 * warning that stands for days must not make a second termination look answered because the first one was.
 */
export function noteAnswer(board: NoticeBoard, death: Death, answered: Answer): NoticeBoard {
  const keys = new Set(death.notices.map(keyOf))
  const standing = [...board.standing].map(([key, stands]): [string, Standing] => {
    if (!keys.has(key)) return [key, stands]
    const most = answerTo(stands.notice, stands.notice.deadline ?? 0)
    const own = isStronger(answered, most) ? most : answered
    return [key, { ...stands, answered: isStronger(own, stands.answered) ? own : stands.answered }]
  })
  return { standing: new Map(standing) }
}

/** What has become of a death since: those that share a notice with it, with all that has joined them. */
export function continuationsOf(board: NoticeBoard, death: Death, now: number): Death[] {
  const keys = new Set(death.notices.map(keyOf))
  return deathsOf(board, now).filter(({ notices }) => notices.some((notice) => keys.has(keyOf(notice))))
}

/** Whether anything still says that it will happen. */
export function stands(board: NoticeBoard, death: Death, now: number): boolean {
  return death.notices.some((notice) => {
    const standing = board.standing.get(keyOf(notice))
    return standing !== undefined && timeOf(standing.notice) + overdueMs >= now
  })
}
