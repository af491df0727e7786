import t from 'tap'
import type { Pod } from '../../../webhook/pod.ts'
import type { Held } from '../../../webhook/pod-security/held.ts'
import { standards, violationsOf, type Standard } from '../../../webhook/pod-security/standards.ts'
import { controls, type Row } from './controls.ts'
import { restrictedPod } from './restricted-pod.ts'

const lists = ['containers', 'initContainers', 'ephemeralContainers'] as const
const both: readonly Standard[] = ['baseline', 'restricted']

function held(pod: Pod): Held {
  const spec = pod.spec as unknown as Record<string, unknown[] | undefined>
  return {
    annotations: pod.metadata.annotations,
    spec,
    containers: lists.flatMap((list) => spec[list] ?? []),
    volumes: spec.volumes ?? [],
  }
}

/** A restricted pod but for the row, with the container of the row in this list. */
function podOf({ sets }: Row, list: (typeof lists)[number]): Pod {
  const pod = restrictedPod()
  const spec = pod.spec as unknown as Record<string, Record<string, unknown>[]> & { securityContext: object }
  const [main = {}] = spec.containers ?? []
  const context = { ...(main.securityContext as object), ...sets.context }
  const changed = { ...main, name: 'changed', securityContext: context, ...sets.container }
  spec[list] = [...(spec[list] ?? []), changed]
  spec.securityContext = { ...spec.securityContext, ...sets.podContext }
  if (sets.volume !== undefined) spec.volumes = [{ name: 'changed', ...sets.volume }]
  Object.assign(pod.spec, sets.pod)
  pod.metadata.annotations = { ...pod.metadata.annotations, ...(sets.annotations as Record<string, string>) }
  return pod
}

for (const [control, rows] of Object.entries(controls))
  t.test(`${control}: the values that each standard allows, in every list of containers`, async (t) => {
    for (const row of rows)
      for (const list of row.sets.container === undefined && row.sets.context === undefined ? (['containers'] as const) : lists)
        for (const standard of both) {
          const problems = violationsOf(held(podOf(row, list)), standard)
          const isAllowed = row.by === 'both' || row.by === standard
          t.equal(problems.length === 0, isAllowed, `${standard}, ${list}: ${JSON.stringify(row.sets)}: ${problems.join('; ')}`)
        }
  }) // prettier-ignore

t.test('each control of a standard is in the table, with a value that it denies', async (t) => {
  for (const standard of both) {
    const titles = standards[standard].map(({ title }) => title)
    t.equal(new Set(titles).size, titles.length, `${standard} has none twice`)
    for (const { title, problemsOf } of standards[standard]) {
      const rows = controls[title] ?? []
      t.ok(
        rows.some((row) => problemsOf(held(podOf(row, 'containers'))).length > 0),
        `${standard}: ${title}`,
      )
    }
  }
  t.same(violationsOf(held(restrictedPod()), 'restricted'), [])
})

t.test('a message names the container and the field', async (t) => {
  const pod = podOf(
    { sets: { context: { privileged: true, capabilities: { add: ['SYS_ADMIN'] } } }, by: 'neither' },
    'initContainers',
  )
  t.same(violationsOf(held(pod), 'restricted'), [
    'container "changed" must not set securityContext.privileged',
    'container "changed" must drop "ALL" in securityContext.capabilities',
    'container "changed" must not add "SYS_ADMIN" in securityContext.capabilities',
  ])
})
