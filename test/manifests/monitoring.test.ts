/** Alerts, their pages, and the dashboard: each asks for what is there, and promtool finds the rules to do as they say. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { run } from '../../scripts/command.ts'
import { filesUnder, read, section } from '../docs/documents.ts'
import { manifests, objectsIn, rendered } from './rendered.ts'
import { seriesOf, sidecarMetrics, webhookMetrics } from './scrape.ts'
import { promtool } from './tools.ts'
import { unanswerable } from './queries.ts'

type Rule = {
  alert: string
  expr: string
  labels: { severity: string }
  annotations: { summary: string; description: string; runbook_url: string }
}
type Groups = { groups: { name: string; rules: Rule[] }[] }
type Dashboard = {
  title: string
  uid: string
  schemaVersion: number
  templating: { list: { name: string; type: string; query: unknown; definition?: string }[] }
  panels: Panel[]
}
type Source = { type: string; uid: string }
type Panel = {
  id: number
  title: string
  type: string
  gridPos: { x: number; y: number; w: number; h: number }
  description?: string
  datasource?: Source
  targets?: { refId: string; expr: string; datasource: Source }[]
}

const folder = join(manifests, 'components/monitoring')
const alerts = parse(readFileSync(join(folder, 'alerts.yaml'), 'utf8')) as Groups
const rules = alerts.groups.flatMap((group) => group.rules)
const dashboard = JSON.parse(readFileSync(join(folder, 'dashboard.json'), 'utf8')) as Dashboard
const queries = dashboard.panels.flatMap(({ targets = [] }) => targets)
const webhook = await webhookMetrics(t)
const sidecar = await sidecarMetrics(t)
const told = [...seriesOf(webhook), ...seriesOf(sidecar)]

/** promtool wants every word of them repeated. */
function withoutAnnotations({ name, rules }: Groups['groups'][number]): object {
  return { name, rules: rules.map((rule) => ({ ...rule, annotations: {} })) }
}

t.test('the metrics are as Prometheus’ own conventions want them', async (t) => {
  for (const [name, text] of Object.entries({ webhook, sidecar })) {
    const { code, stdout, stderr } = await run([await promtool(), 'check', 'metrics'], { input: text })
    t.equal(code, 0, `${name}: ${stdout}${stderr}`)
  }
  const lint = await run([await promtool(), 'check', 'metrics'], {
    input: '# TYPE wrong_ms counter\nwrong_ms 1\n',
  })
  t.not(lint.code, 0, 'and what is not as they want it is found')
})

t.test('every alert and every panel asks for metrics, labels and values that are told', async (t) => {
  t.ok(rules.length > 5 && queries.length > 10)
  for (const { alert, expr } of rules) t.same(unanswerable(expr, told), [], alert)
  for (const { expr } of queries)
    t.same(unanswerable(expr.replaceAll('$__rate_interval', '5m'), told), [], expr)
})

t.test('and what is not told is found', async (t) => {
  for (const [expression, problem] of [
    ['rate(reprieve_admissions_totals[5m])', 'there is no reprieve_admissions_totals'],
    ['reprieve_admissions_total{reasons="tty"}', 'reprieve_admissions_total has no label reasons'],
    ['reprieve_admissions_total{reason=~"tty|typo"}', 'reprieve_admissions_total has no reason="typo"'],
    ['sum by (trigger) (reprieve_admissions_total)', 'nothing there has the label trigger'],
    ['up', 'up asks for nothing of ours'],
  ])
    t.same(unanswerable(expression ?? '', told), [problem])
})

t.test('promtool takes the rules, and they fire and keep still as their tests say', async (t) => {
  const check = await run([
    await promtool(),
    'check',
    'rules',
    '--lint=all',
    '--lint-fatal',
    join(folder, 'alerts.yaml'),
  ])
  t.equal(check.code, 0, check.stdout + check.stderr)
  const file = join(import.meta.dirname, 'alerts.promtool.yaml')
  const place = t.testdir({
    'alerts.yaml': JSON.stringify({ groups: alerts.groups.map(withoutAnnotations) }),
    'tests.yaml': readFileSync(file, 'utf8'),
  })
  const tests = await run([await promtool(), 'test', 'rules', join(place, 'tests.yaml')])
  t.equal(tests.code, 0, tests.stdout + tests.stderr)
  type Expected = { alertname: string; exp_alerts?: object[] }
  const { tests: cases } = parse(readFileSync(file, 'utf8')) as { tests: { alert_rule_test: Expected[] }[] }
  const expected = cases.flatMap((one) => one.alert_rule_test)
  for (const { alert } of rules) {
    const own = expected.filter(({ alertname }) => alertname === alert)
    t.ok(
      own.some(({ exp_alerts: list = [] }) => list.length > 0),
      `${alert} is seen to fire`,
    )
    t.ok(
      own.some(({ exp_alerts: list = [] }) => list.length === 0),
      `${alert} is seen to keep still`,
    )
  }
})

t.test('every alert says how bad it is and where its page is, and every page has an alert', async (t) => {
  const pages = filesUnder('docs/runbooks').map((path) => path.replace('docs/runbooks/', ''))
  t.same(pages.sort(), rules.map(({ alert }) => `${alert}.md`).sort())
  for (const { alert, labels, annotations } of rules) {
    t.match(labels.severity, /^(critical|warning|info)$/, alert)
    t.ok(annotations.summary.length > 20 && annotations.description.length > 20, alert)
    t.ok(annotations.runbook_url.endsWith(`/docs/runbooks/${alert}.md`), alert)
  }
})

t.test('a page says what to know and to type at three in the morning', async (t) => {
  for (const { alert } of rules) {
    const page = read(`docs/runbooks/${alert}.md`)
    t.match(page, `# ${alert}\n`)
    for (const heading of [
      'What it means',
      'First command',
      'What is at stake',
      'How to put it right',
      'When to ignore it',
    ])
      t.ok(section(page, `## ${heading}`).length > heading.length + 30, `${alert}: ${heading}`)
    t.match(section(page, '## First command'), /^```sh\nkubectl [^`]+\n```$/m, alert)
    t.match(section(page, '## How to put it right'), /^- /m, alert)
  }
})

t.test('the alert about memory is at nine tenths of the limit', async (t) => {
  const deployment = (await rendered('base')).find(
    ({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'reprieve-webhook',
  ) as unknown as {
    spec: { template: { spec: { containers: { resources: { limits: { memory: string } } }[] } } }
  }
  const limit = deployment.spec.template.spec.containers[0]?.resources.limits.memory ?? ''
  const mebibytes = Number(/^(\d+)Mi$/.exec(limit)?.[1])
  const { expr = '' } = rules.find(({ alert }) => alert === 'ReprieveMemoryHigh') ?? {}
  t.equal(Number(/> (\d+)$/.exec(expr)?.[1]), Math.floor(mebibytes * 2 ** 20 * 0.9))
})

t.test(
  'the operator gets the same rules, the same dashboard, and pods that declare the ports it scrapes',
  async (t) => {
    const objects = await rendered('base', ['components/monitoring'])
    t.same(
      (objects.find(({ kind }) => kind === 'PrometheusRule') as unknown as { spec: Groups }).spec,
      alerts,
    )
    const map = objects.find(({ metadata }) => metadata.name === 'reprieve-dashboard') as unknown as {
      data: Record<string, string>
    }
    t.same(JSON.parse(map.data['reprieve.json'] ?? ''), dashboard)
    const monitors = objectsIn('components/monitoring/pod-monitors.yaml')
    t.match(monitors, [
      {
        spec: {
          selector: { matchLabels: { 'app.kubernetes.io/name': 'reprieve-webhook' } },
          podMetricsEndpoints: [{ port: 'admin' }],
        },
      },
      {
        spec: {
          selector: { matchLabels: { 'reprieve.dev/injected': 'true' } },
          podMetricsEndpoints: [{ port: 'reprieve', honorLabels: true }],
        },
      },
    ])
  },
)

t.test('the dashboard can be imported: any data source, no two panels in one place', async (t) => {
  t.ok(dashboard.schemaVersion >= 36)
  t.match(dashboard.templating.list[0], { name: 'datasource', type: 'datasource', query: 'prometheus' })
  const source = { type: 'prometheus', uid: '${datasource}' }
  const panels = dashboard.panels.filter(({ type }) => type !== 'row')
  for (const { title, datasource, targets = [], description = '' } of panels) {
    t.same(datasource, source, title)
    for (const target of targets) t.same(target.datasource, source, title)
    t.ok(targets.length > 0 && description.length > 10, title)
  }
  t.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length)
  const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) => {
    t.ok(x + w <= 24)
    return Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`)
  })
  t.equal(new Set(cells).size, cells.length)
  for (const { definition } of dashboard.templating.list)
    if (definition !== undefined) t.same(unanswerable(definition, told), [])
})

/** Commands that go on in the next line are one. */
const whole = (page: string) => page.replaceAll(/ \\\n\s*/g, ' ')

t.test('what a page has one look for in logs is what the programs write there', async (t) => {
  const paths = [...filesUnder('webhook'), ...filesUnder('sidecar')].filter((path) => path.endsWith('.ts'))
  const sources = paths.map(read).join('\n')
  const commands = rules.flatMap(
    ({ alert }) => whole(read(`docs/runbooks/${alert}.md`)).match(/^kubectl .+$/gm) ?? [],
  )
  for (const command of commands) {
    // Of pods that a selector chose kubectl shows ten lines each, unless it is told otherwise.
    if (/ logs .*-l /.test(command)) t.match(command, ' --tail=-1 ')
    for (const [, pattern = ''] of command.matchAll(/grep (?:-E )?'([\w |]+)'/g))
      for (const words of pattern.split('|')) t.ok(sources.includes(words), `${words}, of ${command}`)
  }
})
