/** What PromQL asks for: the metrics that are named, with what is demanded of their labels. */
import type { Series } from './scrape.ts'

export type Selector = { name: string; labels: { label: string; operator: string; value: string }[] }

/** All metrics of ours, and of the process, that an expression names. */
export function selectorsIn(expression: string): Selector[] {
  return [...expression.matchAll(/\b((?:reprieve|process)_\w+)\b(?:\{([^}]*)\})?/g)].map(
    ([, name = '', matchers = '']) => ({
      name,
      labels: [...matchers.matchAll(/(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g)].map(
        ([, label = '', operator = '', value = '']) => ({ label, operator, value }),
      ),
    }),
  )
}

/** The labels that an expression groups or joins by. */
export function groupingsIn(expression: string): string[] {
  return [...expression.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(/,\s*/))
}

/** What Prometheus adds to every series of a pod. */
const ofTarget = new Set(['job', 'instance', 'namespace', 'pod'])

/** What about the expression no series that is told could ever answer. */
export function unanswerable(expression: string, series: readonly Series[]): string[] {
  const selectors = selectorsIn(expression)
  if (selectors.length === 0) return [`${expression} asks for nothing of ours`]
  const problems = selectors.flatMap(({ name, labels }) => {
    const own = series.filter((one) => one.name === name)
    if (own.length === 0) return [`there is no ${name}`]
    return labels
      .filter(({ label }) => !ofTarget.has(label))
      .flatMap(({ label, operator, value }) => {
        const known = new Set(
          own.flatMap(({ labels: { [label]: found } }) => (found === undefined ? [] : [found])),
        )
        if (known.size === 0) return [`${name} has no label ${label}`]
        // Each alternative has to be one that is there: a reason that was renamed would make a rule that is silent for ever.
        const named = operator.endsWith('~') ? value.split('|') : [value]
        return named.filter((one) => !known.has(one)).map((one) => `${name} has no ${label}="${one}"`)
      })
  })
  const labels = new Set(
    series
      .filter(({ name }) => selectors.some((selector) => selector.name === name))
      .flatMap((one) => Object.keys(one.labels)),
  )
  const unknown = groupingsIn(expression).filter((label) => !labels.has(label) && !ofTarget.has(label))
  return [...problems, ...unknown.map((label) => `nothing there has the label ${label}`)]
}
