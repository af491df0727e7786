/** What a file says that announces an end. Pure; whoever may write the folder is root, and can still be mistaken. */
import { isRecord } from '../../../src/shape.ts'
import { certainties, noticeKinds, type Notice } from './notice.ts'

export const longestFileBytes = 4096
const longestDetail = 200
/** Further ahead nobody announces anything; and the sum must be an instant that a Date can tell. */
const longestInMs = 366 * 86_400_000
const [firstYear, lastYear] = [2020, 2199]

const known = new Set(['kind', 'container', 'by', 'inMs', 'certainty', 'reason'])

/**
 * `{"kind"?: "pod-ended", "by"?: an instant | "inMs"?: from the file's last change, "certainty"?: "certain", "container"?, "reason"?}`
 *
 * @param changedAt of the file, milliseconds since the epoch
 * @throws Error naming all that is wrong
 */
export function readNoticeFile(
  file: { name: string; text: string; changedAt: number },
  source: string,
  containers: readonly string[],
): Notice {
  const value: unknown = JSON.parse(file.text)
  if (!isRecord(value)) throw new Error('a notice is one JSON object')
  const { kind = 'pod-ended', container, by, inMs, certainty = 'certain', reason = file.name } = value
  const problems: string[] = []
  const kinds = Object.keys(noticeKinds)
  if (!kinds.some((one) => one === kind)) problems.push(`kind must be one of ${kinds.join(', ')}`)
  if (!certainties.some((one) => one === certainty))
    problems.push(`certainty must be one of ${certainties.join(', ')}`)
  if (container !== undefined && !containers.some((one) => one === container))
    problems.push(`container must be one of ${containers.join(', ')}`)
  if (typeof reason !== 'string' || reason.length > longestDetail)
    problems.push(`reason must be a text of at most ${longestDetail} characters`)
  const instant = typeof by === 'string' && /^\d{4}-\d\d-\d\dT/.test(by) ? Date.parse(by) : Number.NaN
  if (by !== undefined && !isPlausible(instant))
    problems.push(
      `by must be an instant of the years ${firstYear} to ${lastYear} such as 2026-01-02T03:04:05Z`,
    )
  if (inMs !== undefined && !isSpan(inMs))
    problems.push(`inMs must be a whole number of at most ${longestInMs}, which is 366 days`)
  else if (inMs !== undefined && !isPlausible(file.changedAt))
    problems.push(
      `inMs counts from the file's last change, which must be of the years ${firstYear} to ${lastYear}`,
    )
  if (by !== undefined && inMs !== undefined) problems.push('only one of by and inMs can be said')
  for (const key of Object.keys(value)) if (!known.has(key)) problems.push(`${key} is not known`)
  if (problems.length > 0) throw new Error(problems.join('; '))
  return {
    source,
    // A file that is written anew is another notice.
    id: `${file.name} ${file.changedAt}`,
    kind: kind as Notice['kind'],
    container: container as string | undefined,
    deadline: by === undefined ? (inMs === undefined ? undefined : file.changedAt + Number(inMs)) : instant,
    certainty: certainty as Notice['certainty'],
    // oxlint-disable-next-line no-control-regex
    detail: String(reason).replaceAll(/[\u0000-\u001f\u007f]/g, ' '),
  }
}

function isPlausible(instant: number): boolean {
  return instant >= Date.UTC(firstYear) && instant < Date.UTC(lastYear + 1)
}

function isSpan(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) <= longestInMs
}
