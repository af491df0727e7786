/**
 * Compute Engine's metadata server: requests that wait for a change. `Metadata-Flavor: Google` is asked for and given, so
 * that neither side takes something else for the other.
 * https://cloud.google.com/compute/docs/metadata/querying-metadata
 */
import { ReprieveError } from '../../../src/errors.ts'
import type { Notice } from '../notices/notice.ts'
import { garbage, get, linkLocal, requestDeadlineMs, requireStatus, shown, type Cloud, type Watch } from './cloud.ts' // prettier-ignore
import type { HttpAnswer } from './http-answer.ts'
import type { Endpoint } from './metadata-request.ts'

/** How long one request waits for a change; then it is answered as it is, which also shows that the server is there. */
const waitSeconds = 60
/** Between two requests, so that a server that answers at once is not asked without pause. */
const pauseMs = 1_000
/** A preemption notice comes up to 30 s ahead: what is heard of may be nearer than that, never nearer than known. */
const preemptionNoticeMs = 30_000
/**
 * "Compute Engine gives GPU VMs a 1-hour stopping notice, while normal VMs receive only a 60-second notice": which of the two this
 * is cannot be told from here.
 * https://cloud.google.com/compute/docs/gpus/gpu-host-maintenance
 */
const maintenanceNoticeMs = 60_000
/** A sixth of those: what failures before a notice may cost of it. */
const preemptionSlowestMs = 5_000
const maintenanceSlowestMs = 10_000

const folder = '/computeMetadata/v1/instance'
const flavor = { 'metadata-flavor': 'Google' } as const

export class Gcp implements Cloud {
  readonly name = 'gcp'
  readonly #endpoint: Endpoint
  readonly #waitSeconds: number
  readonly #now: () => number

  constructor(endpoint: Endpoint = linkLocal, more: { waitSeconds?: number; now?: () => number } = {}) {
    this.#endpoint = endpoint
    this.#waitSeconds = more.waitSeconds ?? waitSeconds
    this.#now = more.now ?? Date.now
  }

  async probe(signal: AbortSignal): Promise<boolean> {
    // What matters, since GKE's own metadata server gives out the machine's id, but no notices.
    const answer = await get(this.#endpoint, `${folder}/preempted`, flavor, { signal })
    if (answer.status === 404 && (isGoogle(answer) || (await this.#hasId(signal)))) throw hidden()
    return answer.status === 200 && isGoogle(answer)
  }

  async #hasId(signal: AbortSignal): Promise<boolean> {
    const answer = await get(this.#endpoint, `${folder}/id`, flavor, { signal })
    return answer.status === 200 && isGoogle(answer)
  }

  watches(): Watch[] {
    return [
      this.#hanging('preempted', preemptionSlowestMs, preempted(this.#now)),
      this.#hanging('maintenance-event', maintenanceSlowestMs, maintenanceEvent(this.#now)),
    ]
  }

  /** The first request answers at once, and those after it when the value is another than that one's. */
  #hanging(key: string, slowestMs: number, read: Reader): Watch {
    const source = `gcp/${key}`
    let etag: string | undefined
    return {
      source,
      everyMs: pauseMs,
      slowestMs,
      read: async (signal) => {
        const seconds = this.#waitSeconds
        const wait =
          etag === undefined ? '' : `?wait_for_change=true&timeout_sec=${seconds}&last_etag=${etag}`
        const path = `${folder}/${key}${wait}`
        const waitMs = etag === undefined ? 0 : seconds * 1_000
        try {
          const deadlineMs = requestDeadlineMs + waitMs
          const answer = await get(this.#endpoint, path, flavor, { signal, deadlineMs })
          requireStatus(answer, source)
          if (!isGoogle(answer)) throw garbage(`${source}, without Metadata-Flavor,`)
          etag = etagOf(answer)
          return read(answer.body.trim(), source)
        } catch (error) {
          // Whatever happened meanwhile: the next one answers at once.
          etag = undefined
          throw error
        }
      },
    }
  }
}

type Reader = (value: string, source: string) => Notice[]

/** https://github.com/GoogleCloudPlatform/k8s-node-termination-handler/pull/23 */
function hidden(): ReprieveError {
  const who = "GKE's metadata server, of Workload Identity and Autopilot"
  return new ReprieveError('metadata-failed', `gcp: ${who}, does not tell pods of a preemption`, {
    failure: 'hidden',
  })
}

function isGoogle(answer: HttpAnswer): boolean {
  return answer.headers.get('metadata-flavor')?.toLowerCase() === 'google'
}

/** Put into the next request's path: only what cannot change that. */
function etagOf(answer: HttpAnswer): string | undefined {
  const etag = answer.headers.get('etag') ?? ''
  return /^[A-Za-z0-9_-]{1,128}$/.test(etag) ? etag : undefined
}

/** `TRUE` from the preemption on, for as long as the machine lives. */
function preempted(now: () => number): Reader {
  let deadline: number | undefined
  return (value, source) => {
    if (value !== 'TRUE' && value !== 'FALSE') throw garbage(source)
    if (value === 'FALSE') deadline = undefined
    else deadline ??= now() + preemptionNoticeMs
    if (deadline === undefined) return []
    const detail = 'the machine is being preempted'
    const kind = 'machine-terminated'
    return [{ source, id: value, kind, container: undefined, deadline, certainty: 'certain', detail }]
  }
}

/** `NONE`, or what is about to happen. */
function maintenanceEvent(now: () => number): Reader {
  let stops: { value: string; deadline: number } | undefined
  return (value, source) => {
    if (!/^[A-Z_]{1,64}$/.test(value)) throw garbage(source)
    const kind = value === 'NONE' ? undefined : (events[value] ?? 'machine-at-risk')
    if (kind !== 'machine-stopped') stops = undefined
    else if (stops?.value !== value) stops = { value, deadline: now() + maintenanceNoticeMs }
    if (kind === undefined) return []
    const certainty = stops === undefined ? 'certain' : 'likely'
    const detail = shown(value)
    return [{ source, id: value, kind, container: undefined, deadline: stops?.deadline, certainty, detail }]
  }
}
const events: Readonly<Record<string, Notice['kind']>> = {
  MIGRATE_ON_HOST_MAINTENANCE: 'machine-frozen',
  TERMINATE_ON_HOST_MAINTENANCE: 'machine-stopped',
  SHUTDOWN_ON_HOST_MAINTENANCE: 'machine-stopped',
}
