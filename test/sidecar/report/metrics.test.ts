import t from 'tap'
import { Deadline } from '../../../src/deadline.ts'
import { CheckpointLedger } from '../../../sidecar/container/ledger.ts'
import { renderMetrics } from '../../../sidecar/report/metrics.ts'
import { SourceBook } from '../../../sidecar/triggers/notices/source-book.ts'

const nothing = { containers: [], triggers: [], newest: () => undefined, sources: [], counts: [], last: [] }

t.test('nothing that happened is nothing to tell', async (t) => {
  t.equal(renderMetrics(nothing), '')
})

t.test('what may happen is told from the start, and how the application began', async (t) => {
  const rejected = [
    { id: 'c', reason: 'checkpoint-corrupt', detail: 'a byte' },
    { id: 'b', reason: 'checkpoint-corrupt', detail: 'another' },
    { id: 'a', reason: 'died-early', detail: '' },
  ]
  const text = renderMetrics({
    ...nothing,
    containers: [
      { container: 'cold', restoredFrom: undefined, rejected },
      { container: 'warm', restoredFrom: 'z', rejected: [] },
    ],
    triggers: ['prestop', 'interval'],
    newest: (name) => (name === 'warm' ? { at: 1_500, cpuMs: undefined } : undefined),
    counts: [{ container: 'warm', trigger: 'prestop', outcome: 'taken', count: 2 }],
  })
  t.same(
    text.split('\n').filter((line) => line !== '' && !line.startsWith('#')),
    [
      'reprieve_restored{container="cold"} 0',
      'reprieve_restored{container="warm"} 1',
      'reprieve_checkpoints_passed_over{container="cold",reason="checkpoint-corrupt"} 2',
      'reprieve_checkpoints_passed_over{container="cold",reason="died-early"} 1',
      'reprieve_checkpoints_total{container="cold",trigger="prestop",outcome="taken"} 0',
      'reprieve_checkpoints_total{container="cold",trigger="prestop",outcome="failed"} 0',
      'reprieve_checkpoints_total{container="cold",trigger="interval",outcome="taken"} 0',
      'reprieve_checkpoints_total{container="cold",trigger="interval",outcome="failed"} 0',
      'reprieve_checkpoints_total{container="warm",trigger="prestop",outcome="taken"} 2',
      'reprieve_checkpoints_total{container="warm",trigger="prestop",outcome="failed"} 0',
      'reprieve_checkpoints_total{container="warm",trigger="interval",outcome="taken"} 0',
      'reprieve_checkpoints_total{container="warm",trigger="interval",outcome="failed"} 0',
      'reprieve_checkpoint_last_taken_timestamp_seconds{container="warm"} 1.5',
    ],
  )
})

t.test('every source and every checkpoint is told, in the form that Prometheus reads', async (t) => {
  const [book, ledger] = [new SourceBook(), new CheckpointLedger()]
  book.answered('aws/instance-action', Date.parse('2026-03-04T05:06:07.500Z'))
  book.seen([{ source: 'aws/instance-action', id: '1', kind: 'machine-terminated', container: undefined, deadline: 1, certainty: 'certain', detail: '' }]) // prettier-ignore
  book.led('aws/instance-action', 118_000, 2_500)
  book.failed('a "quoted"\nname', 'because', Date.parse('2026-03-04T05:06:08Z'))
  const container = ledger.watch({
    plan: { name: 'app' },
    runs: async () => undefined,
    ending: () => undefined,
    checkpoint: async () => ({ outcome: 'taken', id: 'one', phases: {} }),
  })
  await container.checkpoint({
    trigger: 'spot',
    reason: '',
    afterwards: 'end',
    deadline: Deadline.in(60_000),
  })
  ledger.skipped('other', 'interval', 'no progress')
  const text = renderMetrics({
    ...nothing,
    sources: book.states,
    counts: ledger.counts,
    last: ledger.newestEntries,
  })
  for (const line of [
    'reprieve_notice_source_reachable{source="aws/instance-action"} 1',
    String.raw`reprieve_notice_source_reachable{source="a \"quoted\"\nname"} 0`,
    'reprieve_notice_source_last_poll_timestamp_seconds{source="aws/instance-action"} 1772600767.5',
    'reprieve_notice_source_last_answer_timestamp_seconds{source="aws/instance-action"} 1772600767.5',
    String.raw`reprieve_notice_source_last_poll_timestamp_seconds{source="a \"quoted\"\nname"} 1772600768`,
    String.raw`reprieve_notice_source_failures_total{source="a \"quoted\"\nname"} 1`,
    'reprieve_notice_source_answers_total{source="aws/instance-action"} 1',
    'reprieve_notices_total{source="aws/instance-action"} 1',
    'reprieve_notice_lead_seconds{source="aws/instance-action"} 118',
    'reprieve_notice_lead_used_seconds{source="aws/instance-action"} 2.5',
    'reprieve_checkpoints_total{container="app",trigger="spot",outcome="taken"} 1',
    'reprieve_checkpoints_total{container="other",trigger="interval",outcome="skipped"} 1',
  ])
    t.ok(text.split('\n').includes(line), line)
  t.match(text, /^reprieve_checkpoint_last_lead_seconds\{container="app",trigger="spot"\} (60|59\.\d+)$/m)
  t.notMatch(text, /last_lead.*other/)
  // One HELP and one TYPE before each family's samples, and no family twice.
  const names = [...text.matchAll(/^# TYPE (\S+) (?:gauge|counter)$/gm)].map(([, name]) => name)
  t.equal(new Set(names).size, names.length)
  const sample = /^(# (HELP|TYPE) \S+ .+|[a-z_]+\{[a-z]+="(\\.|[^"\\])*"(,[a-z]+="(\\.|[^"\\])*")*\} [\d.]+)$/
  t.same(text.trimEnd().split('\n').filter((line) => !sample.test(line)), []) // prettier-ignore
})
