/** What Prometheus would read from a running webhook and from a sidecar's status server: names, labels and values. */
import { Deadline } from '../../src/deadline.ts'
import type { Test } from 'tap'
import { CheckpointLedger } from '../../sidecar/container/ledger.ts'
import { renderMetrics } from '../../sidecar/report/metrics.ts'
import { SourceBook } from '../../sidecar/triggers/notices/source-book.ts'
import { serveStatus } from '../../sidecar/report/status-server.ts'
import { quietLog } from '../sidecar/quiet-log.ts'
import { openCluster } from '../certs/cluster-stage.ts'
import { startWebhook } from '../webhook/running-webhook.ts'
import { freePort } from '../free-port.ts'

export type Series = { name: string; labels: Record<string, string> }

export function seriesOf(text: string): Series[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', pairs = ''] = /^(\w+)(?:\{(.*)\})? \S+$/.exec(line) ?? []
      if (name === '') throw new Error(`not a sample: ${line}`)
      const labels = [...pairs.matchAll(/(\w+)="((?:\\.|[^"\\])*)"/g)]
      return { name, labels: Object.fromEntries(labels.map(([, label = '', value = '']) => [label, value])) }
    })
}

/** From the admin port of a webhook that runs in a cluster, on which nothing has happened yet: every series is there from the start. */
export async function webhookMetrics(t: Test): Promise<string> {
  const { webhook } = await startWebhook(t, { api: (await openCluster(t)).api(2_000) })
  return (await fetch(`http://127.0.0.1:${webhook.adminPort}/metrics`)).text()
}

/** Over HTTP, of a sidecar to which everything has happened once. */
export async function sidecarMetrics(t: Test): Promise<string> {
  const [book, ledger] = [new SourceBook(), new CheckpointLedger()]
  book.answered('aws/instance-action', Date.now())
  book.seen([{ source: 'aws/instance-action', id: '1', kind: 'machine-terminated', container: undefined, deadline: 1, certainty: 'certain', detail: '' }]) // prettier-ignore
  book.led('aws/instance-action', 118_000, 2_500)
  const container = ledger.watch({
    plan: { name: 'train' },
    runs: async () => undefined,
    ending: () => undefined,
    checkpoint: async () => ({ outcome: 'taken', id: 'one', phases: {} }),
  })
  const deadline = Deadline.in(60_000)
  await container.checkpoint({ trigger: 'interval', reason: '', afterwards: 'resume', deadline })
  const reasons = ['checkpoint-corrupt', 'store-failed', 'restore-failed', 'died-early']
  const rejected = reasons.map((reason) => ({ id: reason, reason, detail: '' }))
  const metrics = () =>
    renderMetrics({
      containers: [{ container: 'train', restoredFrom: 'one', rejected }],
      triggers: ['prestop', 'interval'],
      newest: (name) => ledger.newest(name),
      sources: book.states,
      counts: ledger.counts,
      last: ledger.newestEntries,
    })
  const port = await freePort()
  const server = await serveStatus({ port }, { ready: () => true, status: () => ({}), metrics }, quietLog)
  t.teardown(() => server?.close())
  return (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
}
