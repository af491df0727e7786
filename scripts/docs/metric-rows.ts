/** What a text in the format of Prometheus says of its metrics, for a table. */
export type Metric = { name: string; type: string; help: string }

/** Metrics in the order of the text, each with the names of its labels as `name{label}`. `le` of histograms is left out. */
export function metricsIn(text: string): Metric[] {
  const found = new Map<string, { type: string; help: string; labels: Set<string> }>()
  for (const line of text.split('\n')) {
    const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? []
    if (kind !== undefined) {
      const metric = found.get(name) ?? { type: '', help: '', labels: new Set() }
      found.set(name, kind === 'HELP' ? { ...metric, help: rest } : { ...metric, type: rest })
      continue
    }
    const [, sample = '', labels = ''] = /^([a-z_]+)\{(.*)\} /.exec(line) ?? []
    const metric = found.get(sample) ?? found.get(sample.replace(/_(?:bucket|sum|count)$/, ''))
    for (const [, label = ''] of labels.matchAll(/(\w+)="/g)) if (label !== 'le') metric?.labels.add(label)
  }
  return [...found].map(([name, { type, help, labels }]) => ({
    name: labels.size === 0 ? name : `${name}{${[...labels].join(',')}}`,
    type,
    help,
  }))
}
