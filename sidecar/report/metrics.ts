/**
 * The metrics of the sidecar, in the text format 0.0.4 of Prometheus. Pure. Labels are names of containers, triggers and sources, and
 * outcomes from closed sets: never free text.
 */
import type { CheckpointEntry, Newest } from '../container/ledger.ts'
import type { KeeperStatus } from '../container/keeper.ts'
import type { SourceState } from '../triggers/notices/source-book.ts'

export type MetricsSource = {
  containers: readonly Pick<KeeperStatus, 'container' | 'restoredFrom' | 'rejected'>[]
  /** The triggers that may ask for a checkpoint in this pod. */
  triggers: readonly string[]
  /** The newest complete checkpoint that this sidecar took of a container. */
  newest: (container: string) => Pick<Newest, 'at'> | undefined
  sources: readonly SourceState[]
  counts: readonly {
    container: string
    trigger: string
    outcome: CheckpointEntry['outcome']
    count: number
  }[]
  /** The newest request of each container. */
  last: readonly (readonly [container: string, entry: CheckpointEntry])[]
}

type Sample = { labels: Record<string, string>; value: number | undefined }

export function renderMetrics(source: MetricsSource): string {
  const { containers, sources, last } = source
  const of = (value: (state: SourceState) => number | undefined): Sample[] =>
    sources.map((state) => ({ labels: { source: state.source }, value: value(state) }))
  const newest = (value: (entry: CheckpointEntry) => number | undefined): Sample[] =>
    last.map(([container, entry]) => ({ labels: { container, trigger: entry.trigger }, value: value(entry) }))
  return [
    family('reprieve_notice_source_reachable', 'gauge', 'Whether the source answered when it was last asked.', of(({ reachable }) => (reachable ? 1 : 0))), // prettier-ignore
    family('reprieve_notice_source_last_poll_timestamp_seconds', 'gauge', 'When the source was asked last, whatever came of it.', of(({ lastPollAt }) => secondsOf(lastPollAt))), // prettier-ignore
    family('reprieve_notice_source_last_answer_timestamp_seconds', 'gauge', 'When the source answered last.', of(({ lastAnswerAt }) => secondsOf(lastAnswerAt))), // prettier-ignore
    family('reprieve_notice_source_answers_total', 'counter', 'Questions that the source answered.', of(({ answers }) => answers)), // prettier-ignore
    family('reprieve_notice_source_failures_total', 'counter', 'Questions that it did not answer, or not so that it could be understood.', of(({ failures }) => failures)), // prettier-ignore
    family('reprieve_notices_total', 'counter', 'Notices that the source gave, each once.', of(({ noticesSeen }) => noticesSeen)), // prettier-ignore
    family('reprieve_notice_lead_seconds', 'gauge', 'Of the last death that was answered: from its notice to its deadline.', of(({ lead }) => seconds(lead?.askedMs))), // prettier-ignore
    family('reprieve_notice_lead_used_seconds', 'gauge', 'And to the end of its checkpoint.', of(({ lead }) => seconds(lead?.usedMs))), // prettier-ignore
    family('reprieve_restored', 'gauge', 'Whether the application went on from a checkpoint when it was started last.', containers.map(({ container, restoredFrom }) => ({ labels: { container }, value: restoredFrom === undefined ? 0 : 1 }))), // prettier-ignore
    family('reprieve_checkpoints_passed_over', 'gauge', 'Checkpoints that were not restored when the application was started last, by the reason.', containers.flatMap(passedOver)), // prettier-ignore
    family('reprieve_checkpoints_total', 'counter', 'Checkpoints that were asked for, by what became of them.', countsOf(source)), // prettier-ignore
    family('reprieve_checkpoint_last_taken_timestamp_seconds', 'gauge', 'When the newest complete checkpoint was asked for.', containers.map(({ container }) => ({ labels: { container }, value: seconds(source.newest(container)?.at) }))), // prettier-ignore
    family('reprieve_checkpoint_last_lead_seconds', 'gauge', 'How long the newest one was given.', newest(({ leadAskedMs, outcome }) => outcome === 'skipped' ? undefined : seconds(leadAskedMs))), // prettier-ignore
    family('reprieve_checkpoint_last_lead_used_seconds', 'gauge', 'And how long it took.', newest(({ leadTakenMs, outcome }) => outcome === 'skipped' ? undefined : seconds(leadTakenMs))), // prettier-ignore
  ].join('')
}

function counted(container: string, trigger: string, outcome: string, value: number): [string, Sample] {
  return [`${container} ${trigger} ${outcome}`, { labels: { container, trigger, outcome }, value }]
}

/** Every series exists from the start, so that `rate` sees the first event. */
function countsOf({ containers, triggers, counts }: MetricsSource): Sample[] {
  const none = containers.flatMap(({ container }) =>
    triggers.flatMap((trigger) =>
      ['taken', 'failed'].map((outcome) => counted(container, trigger, outcome, 0)),
    ),
  )
  const some = counts.map(({ container, trigger, outcome, count }) =>
    counted(container, trigger, outcome, count),
  )
  return [...new Map([...none, ...some]).values()]
}

function passedOver({ container, rejected }: MetricsSource['containers'][number]): Sample[] {
  const reasons = new Map<string, number>()
  for (const { reason } of rejected) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
  return [...reasons].map(([reason, value]) => ({ labels: { container, reason }, value }))
}

function family(name: string, type: 'gauge' | 'counter', help: string, samples: readonly Sample[]): string {
  const lines = samples.flatMap(({ labels, value }) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
    return value === undefined ? [] : [`${name}{${pairs.join(',')}} ${value}\n`]
  })
  return lines.length === 0 ? '' : `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

function escaped(text: string): string {
  return text
    .replaceAll('\\', String.raw`\\`)
    .replaceAll('"', String.raw`\"`)
    .replaceAll('\n', String.raw`\n`)
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1_000
}

function secondsOf(instant: string | undefined): number | undefined {
  return instant === undefined ? undefined : Date.parse(instant) / 1_000
}
