/** Events as the API server takes them (pkg/apis/core/validation/events.go, for events.k8s.io/v1). */
import type { KubeObject } from './objects.ts'

const microTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const longestNoteBytes = 1024
const longest = 128

type Event = KubeObject & {
  eventTime?: string
  reportingController?: string
  reportingInstance?: string
  action?: string
  reason?: string
  type?: string
  note?: string
  regarding?: { namespace?: string; kind?: string; uid?: string; name?: string }
}

export function newEventProblem(event: Event, namespace: string | undefined): string | undefined {
  const { metadata, eventTime, note = '', regarding = {}, type = '' } = event
  if (!subdomain.test(metadata.name) || metadata.name.length > 253) return `metadata.name: ${metadata.name}`
  if (metadata.namespace !== namespace || regarding.namespace !== namespace) return 'regarding.namespace: does not match event.namespace' // prettier-ignore
  if (!microTime.test(eventTime ?? '')) return `eventTime: ${eventTime}`
  for (const name of ['reportingController', 'reportingInstance', 'action', 'reason'] as const) {
    const value = event[name] ?? ''
    if (value === '' || value.length > longest) return `${name}: must have from 1 to ${longest} characters`
  }
  if (!['Normal', 'Warning'].includes(type)) return `type: ${type}`
  if (Buffer.byteLength(note) > longestNoteBytes) return `note: can have at most ${longestNoteBytes} bytes`
  return undefined
}

/** Everything but the series is immutable. */
export function seriesProblem(patch: object): string | undefined {
  const { series, ...rest } = patch as { series?: { count?: number; lastObservedTime?: string } }
  if (Object.keys(rest).length > 0) return `${Object.keys(rest).join()}: field is immutable`
  if (!((series?.count ?? 0) >= 2)) return `series.count: should be at least 2: ${series?.count}`
  return microTime.test(series?.lastObservedTime ?? '')
    ? undefined
    : `series.lastObservedTime: ${series?.lastObservedTime}`
}
