/**
 * EC2's instance metadata service, version 2 only: a token by PUT, then what has been announced.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
 */
import { ReprieveError } from '../../../src/errors.ts'
import { isRecord } from '../../../src/shape.ts'
import type { Notice } from '../notices/notice.ts'
import { CloudClock } from './cloud-clock.ts'
import { garbage, get, instantOf, linkLocal, parseJson, requestDeadlineMs, requireStatus, shown, statusFailure, untilMissedTwice, type Cloud, type Watch } from './cloud.ts' // prettier-ignore
import type { HttpAnswer } from './http-answer.ts'
import { requestMetadata, type Endpoint } from './metadata-request.ts'

/** "We recommend that you check for these interruption notices every 5 seconds", and the same for rebalancing. */
const urgentEveryMs = 5_000
/** A spot instance's end is told two minutes ahead. */
const urgentSlowestMs = 20_000
/** Announced minutes to days ahead. */
const plannedEveryMs = 30_000
/** The longest that the service grants. */
const tokenSeconds = 21_600
/** A token is renewed this long before its end, so that a request under way does not meet it. */
const renewBeforeMs = 60_000

const folder = '/latest/meta-data'

export class Aws implements Cloud {
  readonly name = 'aws'
  readonly #endpoint: Endpoint
  readonly #clock: CloudClock
  #token: { text: string; until: number } | undefined

  constructor(endpoint: Endpoint = linkLocal, more: { now?: () => number } = {}) {
    this.#endpoint = endpoint
    this.#clock = new CloudClock(more.now ?? Date.now)
  }

  get clockAheadMs(): number {
    return this.#clock.aheadMs
  }

  /** Only EC2 hands out such tokens. Behind a hop limit of 1 the answer to a pod never arrives: then this is late. */
  async probe(signal: AbortSignal): Promise<boolean> {
    this.#token = undefined
    return (await this.#freshToken(signal)) !== undefined
  }

  watches(): Watch[] {
    const watch = (
      name: string,
      everyMs: number,
      path: string,
      read: (body: string, source: string) => Notice[],
    ) => {
      const source = `aws/${name}`
      const slowestMs = everyMs === urgentEveryMs ? urgentSlowestMs : plannedEveryMs
      const ask = (signal: AbortSignal) => this.#read(path, source, read, signal)
      return { source, everyMs, slowestMs, read: untilMissedTwice(ask) }
    }
    return [
      watch('instance-action', urgentEveryMs, 'spot/instance-action', instanceAction),
      watch('rebalance', urgentEveryMs, 'events/recommendations/rebalance', rebalance),
      watch('target-lifecycle-state', plannedEveryMs, 'autoscaling/target-lifecycle-state', lifecycleState),
      watch('scheduled', plannedEveryMs, 'events/maintenance/scheduled', scheduled),
    ]
  }

  async #read(
    path: string,
    source: string,
    read: (body: string, source: string) => Notice[],
    signal: AbortSignal,
  ): Promise<Notice[]> {
    let answer = await this.#ask(path, signal)
    // 401: the token has run out, or the machine slept or was moved since.
    if (answer.status === 401) {
      this.#token = undefined
      answer = await this.#ask(path, signal)
    }
    // 404: nothing of the kind is announced.
    const notices = requireStatus(answer, source, [404]) ? read(answer.body, source) : []
    for (const notice of notices) notice.deadline = this.#clock.ours(notice.deadline)
    return notices
  }

  async #ask(path: string, signal: AbortSignal): Promise<HttpAnswer> {
    const token = await this.#freshToken(signal)
    if (token === undefined)
      throw new ReprieveError('metadata-failed', 'aws: no token is given out', { failure: 'status' })
    const header = { 'x-aws-ec2-metadata-token': token }
    return this.#clock.listen(() => get(this.#endpoint, `${folder}/${path}`, header, { signal }))
  }

  /** Undefined where there is something else than EC2. */
  async #freshToken(signal: AbortSignal): Promise<string | undefined> {
    if (this.#token !== undefined && performance.now() < this.#token.until) return this.#token.text
    const headers = { 'x-aws-ec2-metadata-token-ttl-seconds': String(tokenSeconds) }
    const request = {
      method: 'PUT',
      path: '/latest/api/token',
      headers,
      deadlineMs: requestDeadlineMs,
      signal,
    } as const
    const answer = await requestMetadata(this.#endpoint, request)
    const { status, headers: said, body } = answer
    if (status === 429 || status >= 500) throw statusFailure(answer, 'aws: a token')
    // What goes into a header must not be able to end it.
    if (status !== 200 || !/^[\x21-\x7e]{1,1024}$/.test(body)) return undefined
    const seconds = Number(said.get('x-aws-ec2-metadata-token-ttl-seconds') ?? tokenSeconds)
    const livesMs = Number.isFinite(seconds) ? Math.min(seconds, tokenSeconds) * 1_000 : 0
    this.#token = { text: body, until: performance.now() + livesMs - renewBeforeMs }
    return body
  }
}

const ends: Readonly<Record<string, Notice['kind']>> = {
  terminate: 'machine-terminated',
  stop: 'machine-stopped',
  hibernate: 'machine-hibernated',
}

/** `{"action": "terminate", "time": "2017-09-18T08:22:00Z"}` */
function instanceAction(body: string, source: string): Notice[] {
  const said = parseJson(body, source)
  if (!isRecord(said) || typeof said.action !== 'string') throw garbage(source)
  const kind = Object.hasOwn(ends, said.action) ? ends[said.action] : undefined
  // A word that is not known here is still a notice that the machine is taken.
  return [
    {
      source,
      id: shown(`${said.action} ${String(said.time)}`),
      kind: kind ?? 'machine-stopped',
      container: undefined,
      deadline: instantOf(said.time),
      certainty: kind === undefined ? 'likely' : 'certain',
      detail: shown(`${said.action} at ${String(said.time)}`),
    },
  ]
}

/** `{"noticeTime": "2020-10-27T08:22:00Z"}`: a signal of elevated risk, which may come together with the notice itself. */
function rebalance(body: string, source: string): Notice[] {
  const said = parseJson(body, source)
  if (!isRecord(said)) throw garbage(source)
  const detail = shown(`recommended at ${String(said.noticeTime)}`)
  const kind = 'machine-at-risk'
  return [
    { source, id: detail, kind, container: undefined, deadline: undefined, certainty: 'possible', detail },
  ]
}

/**
 * One word, e.g. `InService`, `Terminated`, `Warmed:Stopped`. Lifecycle hooks decide when: from at once to hours.
 * https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html
 */
function lifecycleState(body: string, source: string): Notice[] {
  const state = body.trim()
  if (!/^[A-Za-z:]{1,64}$/.test(state)) throw garbage(source)
  const kind = leaving[state]
  if (kind === undefined || !Object.hasOwn(leaving, state)) return []
  const detail = `the group moves it to ${state}`
  return [
    { source, id: state, kind, container: undefined, deadline: undefined, certainty: 'certain', detail },
  ]
}
const leaving: Readonly<Record<string, Notice['kind']>> = {
  Terminated: 'machine-terminated',
  'Warmed:Terminated': 'machine-terminated',
  'Warmed:Stopped': 'machine-stopped',
  'Warmed:Hibernated': 'machine-hibernated',
}

/**
 * `[{"EventId", "Code", "State", "NotBefore": "21 Jan 2019 09:00:43 GMT", "NotAfter", "Description"}]`. The codes:
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instances-status-check_sched.html
 */
function scheduled(body: string, source: string): Notice[] {
  const said = parseJson(body, source)
  if (!Array.isArray(said) || !said.every(isRecord)) throw garbage(source)
  return said.slice(0, mostScheduled).flatMap((event): Notice[] => {
    if (event.State !== undefined && event.State !== 'active') return []
    const code = String(event.Code)
    const kind = Object.hasOwn(maintenance, code) ? maintenance[code] : undefined
    // `system-maintenance` (network or power) loses no memory.
    if (kind === undefined) return []
    return [
      {
        source,
        id: shown(event.EventId ?? `${code} ${String(event.NotBefore)}`),
        kind,
        container: undefined,
        deadline: instantOf(event.NotBefore),
        certainty: 'likely',
        detail: shown(`${code} not before ${String(event.NotBefore)}`),
      },
    ]
  })
}
const mostScheduled = 100
const maintenance: Readonly<Record<string, Notice['kind']>> = {
  'instance-stop': 'machine-stopped',
  'instance-retirement': 'machine-stopped',
  'instance-reboot': 'machine-rebooted',
  'system-reboot': 'machine-rebooted',
}
