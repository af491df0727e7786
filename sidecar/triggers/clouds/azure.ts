/**
 * Azure's scheduled events. They tell of every machine of an availability set or a scale set: only those that name this one
 * count. Nothing is ever acknowledged: that would hasten the end, for all machines that the event names.
 * https://learn.microsoft.com/azure/virtual-machines/linux/scheduled-events
 */
import { isRecord } from '../../../src/shape.ts'
import type { Notice } from '../notices/notice.ts'
import { CloudClock } from './cloud-clock.ts'
import { garbage, get, instantOf, linkLocal, parseJson, requireStatus, shown, untilMissedTwice, type Cloud, type Instant, type Watch } from './cloud.ts' // prettier-ignore
import type { Endpoint, KeptConnection } from './metadata-request.ts'

/** "We recommend that you poll the service once per second": a preemption may be announced 30 s ahead. */
const everyMs = 1_000
const slowestMs = 5_000
/** The first call turns the service on: "a delayed response in your first call of up to two minutes". */
const firstDeadlineMs = 130_000
/** The service is another one than the instance's metadata, and busier. */
const laterDeadlineMs = 5_000

const header = { metadata: 'true' } as const
const namePath = '/metadata/instance/compute/name?api-version=2021-02-01&format=text'
const eventsPath = '/metadata/scheduledevents?api-version=2020-07-01'

export class Azure implements Cloud {
  readonly name = 'azure'
  readonly #endpoint: Endpoint
  readonly #now: () => number
  readonly #clock: CloudClock
  #machine: string | undefined

  constructor(endpoint: Endpoint = linkLocal, more: { now?: () => number } = {}) {
    this.#endpoint = endpoint
    this.#now = more.now ?? Date.now
    this.#clock = new CloudClock(this.#now)
  }

  get clockAheadMs(): number {
    return this.#clock.aheadMs
  }

  async probe(signal: AbortSignal): Promise<boolean> {
    const answer = await get(this.#endpoint, namePath, header, { signal })
    const name = answer.body.trim()
    if (answer.status !== 200 || !/^[A-Za-z0-9._-]{1,128}$/.test(name)) return false
    this.#machine = name
    return true
  }

  watches(): Watch[] {
    const source = 'azure/scheduledevents'
    let first = true
    const kept: KeptConnection = { idle: undefined }
    let known: { incarnation: number; aheadMs: number; notices: Notice[] } | undefined
    const read = async (signal: AbortSignal) => {
      const deadlineMs = first ? firstDeadlineMs : laterDeadlineMs
      const answer = await this.#clock.listen(() =>
        get(this.#endpoint, eventsPath, header, { signal, deadlineMs, kept }),
      )
      requireStatus(answer, source)
      const said = parseJson(answer.body, source)
      if (!isRecord(said) || !Number.isSafeInteger(said.DocumentIncarnation)) throw garbage(source)
      first = false
      const incarnation = Number(said.DocumentIncarnation)
      const { aheadMs } = this.#clock
      // "Documents with the same incarnation contain the same event information."
      if (known?.incarnation !== incarnation || known.aheadMs !== aheadMs) {
        const notices = this.#noticesOf(said.Events, source, known?.notices ?? [])
        known = { incarnation, aheadMs, notices }
      }
      return known.notices
    }
    return [{ source, everyMs, slowestMs, read: untilMissedTwice(read) }]
  }

  #noticesOf(events: unknown, source: string, before: readonly Notice[]): Notice[] {
    if (!Array.isArray(events) || !events.every(isRecord)) throw garbage(source)
    return events.slice(0, mostEvents).flatMap((event): Notice[] => {
      const { EventId, EventType, EventStatus, Resources, NotBefore } = event
      if (typeof EventId !== 'string' || typeof EventType !== 'string' || !Array.isArray(Resources))
        throw garbage(source)
      if (!Resources.some((name) => this.#isThis(name))) return []
      const kind = Object.hasOwn(kinds, EventType) ? kinds[EventType] : 'machine-at-risk'
      if (kind === undefined) return []
      const id = shown(EventId)
      return [
        {
          source,
          id,
          kind,
          container: undefined,
          deadline: this.#deadlineOf(
            NotBefore,
            EventStatus,
            before.find((notice) => notice.id === id),
          ),
          certainty: surely.has(EventType) ? 'certain' : 'likely',
          detail: shown(`${EventType} ${String(EventStatus)}, not before ${String(NotBefore) || 'now'}`),
        },
      ]
    })
  }

  #deadlineOf(notBefore: unknown, status: unknown, before: Notice | undefined): Instant {
    const said = this.#clock.ours(instantOf(notBefore))
    // Somebody has approved it, or its time has come. It is empty mostly then, and what was said before may be minutes ahead.
    if (status === 'Started') return Math.min(...[said, before?.deadline].filter(isKnown), this.#now())
    return said ?? before?.deadline
  }

  /** Names of resources are not told apart by case. */
  #isThis(name: unknown): boolean {
    return typeof name === 'string' && name.toLowerCase() === this.#machine?.toLowerCase()
  }
}

function isKnown(instant: Instant): instant is number {
  return instant !== undefined
}

const mostEvents = 1_000
const kinds: Readonly<Record<string, Notice['kind']>> = {
  Freeze: 'machine-frozen',
  Reboot: 'machine-rebooted',
  Redeploy: 'machine-redeployed',
  Preempt: 'machine-terminated',
  Terminate: 'machine-terminated',
}
/** The others are "not before", or turn out to be a pause. */
const surely: ReadonlySet<string> = new Set(['Preempt', 'Terminate'])
