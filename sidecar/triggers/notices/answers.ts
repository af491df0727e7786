/**
 * What is done for each kind of notice, and when: the one table. Printed by `node sidecar/main.ts --explain`, and generated into docs/notices.md
 * (`make docs`). Why which: docs/decisions/0017.
 */
import { noticeKinds, type Notice, type NoticeKind } from './notice.ts'

/** In the order of their strength: a death that was answered by one needs none of those before it. */
export const answers = {
  nothing: 'the sidecar does nothing',
  prepare: 'the sidecar takes a checkpoint if there is none yet; the application continues',
  'checkpoint-and-resume': 'the sidecar takes a checkpoint; the application continues',
  'checkpoint-and-hold':
    'the sidecar takes a checkpoint that ends the application, so that no work is done twice. The container is held until the pod ends, or restarts if the notice proves wrong',
} as const
export type Answer = keyof typeof answers

/** AWS gives two minutes from the notice on; half a minute more is for clocks and for a notice that is heard early. */
export const nearMs = 150_000

/** `far`: the deadline is more than `nearMs` away. `unknown`: nobody says when. */
export type When = 'far' | 'near' | 'unknown'

export const answerTable: Readonly<Record<NoticeKind, Readonly<Record<When, Answer>>>> = {
  'machine-terminated': {
    far: 'checkpoint-and-resume',
    near: 'checkpoint-and-hold',
    unknown: 'checkpoint-and-resume',
  },
  'machine-stopped': {
    far: 'checkpoint-and-resume',
    near: 'checkpoint-and-hold',
    unknown: 'checkpoint-and-resume',
  },
  'machine-hibernated': { far: 'nothing', near: 'checkpoint-and-resume', unknown: 'checkpoint-and-resume' },
  'machine-rebooted': { far: 'prepare', near: 'checkpoint-and-resume', unknown: 'checkpoint-and-resume' },
  'machine-redeployed': { far: 'prepare', near: 'checkpoint-and-resume', unknown: 'checkpoint-and-resume' },
  'machine-frozen': { far: 'nothing', near: 'nothing', unknown: 'nothing' },
  'machine-at-risk': { far: 'prepare', near: 'checkpoint-and-resume', unknown: 'checkpoint-and-resume' },
  'pod-ended': {
    far: 'checkpoint-and-resume',
    near: 'checkpoint-and-hold',
    unknown: 'checkpoint-and-resume',
  },
  'pod-deleted': { far: 'nothing', near: 'nothing', unknown: 'nothing' },
  'pod-disrupted': { far: 'prepare', near: 'checkpoint-and-resume', unknown: 'checkpoint-and-resume' },
  'node-leaving': {
    far: 'checkpoint-and-resume',
    near: 'checkpoint-and-resume',
    unknown: 'checkpoint-and-resume',
  },
  'node-cordoned': { far: 'prepare', near: 'prepare', unknown: 'prepare' },
}

export function whenIs(deadline: number | undefined, now: number): When {
  if (deadline === undefined) return 'unknown'
  return deadline - now > nearMs ? 'far' : 'near'
}

/** What is to be done now for one notice. */
export function answerTo({ kind, deadline, certainty }: Situation, now: number): Answer {
  const answer = answerTable[kind][whenIs(deadline, now)]
  return answer === 'checkpoint-and-hold' && certainty !== 'certain' ? 'checkpoint-and-resume' : answer
}
type Situation = Pick<Notice, 'kind' | 'deadline' | 'certainty'>

/** The first of those than which none is stronger. */
export function strongestOf<T extends { readonly answer: Answer }>(all: readonly T[]): T | undefined {
  return all.reduce<T | undefined>(
    (most, one) => (most === undefined || isStronger(one.answer, most.answer) ? one : most),
    undefined,
  )
}

export function isStronger(one: Answer, other: Answer): boolean {
  return strength(one) > strength(other)
}

function strength(answer: Answer): number {
  return Object.keys(answers).indexOf(answer)
}

/**
 * When more may have to be done for a notice than now, although nothing new is said: what was saved when it was far is not the newest any
 * more when it is near. Undefined: never.
 */
export function reconsiderAt(notice: Situation, now: number): number | undefined {
  const { deadline } = notice
  if (deadline === undefined || whenIs(deadline, now) !== 'far') return undefined
  const near = deadline - nearMs
  return answerTo(notice, near) === 'nothing' ? undefined : near
}

/** The table as the documents have it. */
export function explainAnswers(): string {
  const minutes = `${nearMs / 60_000} min`
  const head = ['notice', 'what will happen', `more than ${minutes} ahead`, 'nearer', 'no deadline']
  const rows = Object.entries(answerTable).map(([kind, { far, near, unknown }]) => [
    `\`${kind}\``,
    noticeKinds[kind as NoticeKind],
    far,
    near,
    unknown,
  ])
  const rule = head.map(() => '---')
  const table = [head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`)
  const meanings = Object.entries(answers).map(([answer, meaning]) => `- \`${answer}\`: ${meaning}.`)
  const caution = `A notice that is not \`certain\` never ends the application: \`checkpoint-and-resume\` takes the place of \`checkpoint-and-hold\`.`
  return [...table, '', ...meanings, '', caution, ''].join('\n')
}
