/**
 * The webhook's answer to every pod of the table. After an intended change: `UPDATE_GOLDEN=1 node test/webhook/pods.test.ts`, and
 * read the difference.
 */
import t from 'tap'
import { annotationNames } from '../../src/annotations.ts'
import { parsePodPlan, planVariable } from '../../src/pod-plan.ts'
import { decide } from '../../webhook/decide.ts'
import { mutate } from '../../webhook/mutate.ts'
import type { Pod } from '../../webhook/pod.ts'
import { qosClassOf } from '../../webhook/quality-of-service.ts'
import { skipReasons } from '../../webhook/skip-reasons.ts'
import { recordedReviews } from './admission-fixtures.ts'
import { problemsBeyondSchema, problemsOfCoreV1 } from './core-v1.ts'
import { applied, unnamed } from './patched-pod.ts'
import { ask, injectedIn, operationsOf, shortAnswer } from './pod-answers.ts'
import { casesOf, rowsOf, tables, writeAnswers } from './pod-table.ts'

const all = tables.map((table) => ({
  table,
  rows: rowsOf(table).map((row) => ({ row, asked: casesOf(row).map(ask) })),
}))
const cases = all.flatMap(({ rows }) => rows.flatMap(({ asked }) => asked))
const base = cases.find(({ row }) => row.name === 'the base pod')
if (base === undefined) throw new Error('the table has no base pod')

t.test('each pod gets the answer on record', async (t) => {
  for (const { table, rows } of all) {
    if (process.env.UPDATE_GOLDEN) writeAnswers(table, rows.map(({ asked: [first] }) => first && shortAnswer(first, base))) // prettier-ignore
    const onRecord = rowsOf(table)
    for (const [index, { row, asked }] of rows.entries())
      for (const one of asked) t.strictSame(shortAnswer(one, base), onRecord[index]?.answer, row.name)
  }
})

t.test('every pod that is injected is valid, and changed only where injection has to', async (t) => {
  for (const { name, pod, after, decision, config } of injections()) {
    const { plan, commands } = decision
    const names = plan.containers.map((container) => container.name)
    // Some rows have a pod that the API server refuses after admission.
    if (problemsOf(pod).length === 0) t.same(problemsOf(after), [], name)
    t.strictSame(unnamed(comparable(after), names), unnamed(comparable(pod), names), name)
    t.same(mutate(after, { plan, commands }, config).operations, [], `${name}: nothing is patched twice`)
    t.equal(classOf(after), classOf(pod), `${name}: its QoS class`)
    const theirs = (pod.spec.initContainers ?? []).map((container) => container.name)
    const all = after.spec.initContainers?.map((container) => container.name)
    t.same(all, ['reprieve-restore', 'reprieve-sidecar', ...theirs], `${name}: the order of init containers`)
  }
})

t.test(
  'both injected containers carry the plan of the decision, safe from the expansion of variables',
  async (t) => {
    for (const { name, after, decision } of injections())
      for (const { env } of injectedIn(after)) {
        const value = env.find((variable) => variable.name === planVariable)?.value ?? ''
        // As the kubelet reads it (third_party/forked/golang/expansion): `$$` is a dollar sign, and begins no reference.
        t.notMatch(value.replaceAll('$$', ''), /\$/, name)
        t.strictSame(parsePodPlan(value.replaceAll('$$', () => '$')), decision.plan, name)
      }
  },
)

t.test('a pod that another webhook changed after the injection is not injected again', async (t) => {
  for (const { name, after, decision, config, entry, request } of injections()) {
    after.spec.containers.unshift({ name: 'proxy-of-the-second-pass', image: 'proxy:1', args: ['proxy'] })
    after.spec.initContainers?.unshift({ name: 'init-of-the-second-pass', image: 'iptables:1' })
    after.metadata.labels = { ...after.metadata.labels, 'security.istio.io/tlsMode': 'istio' }
    const again = decide(after, { namespace: request.namespace ?? '', optedInBy: entry }, config)
    t.strictSame(again, { outcome: 'skip', reasons: ['already-injected'], warnings: [] }, name)
    t.same(mutate(after, decision, config).operations, [], name)
  }
})

t.test(
  'a pod that is refused when it asks is admitted with the same texts when only its namespace asks',
  async (t) => {
    for (const one of cases) {
      const { decision } = one
      const object = structuredClone(one.request.object) as Pod
      if (
        decision.outcome !== 'refuse' ||
        object.metadata.annotations?.['reprieve.dev/checkpoint'] !== 'true'
      )
        continue
      delete object.metadata.annotations['reprieve.dev/checkpoint']
      const admitted = ask({ ...one, request: { ...one.request, object }, entry: 'namespace' })
      t.equal(admitted.decision.outcome, 'skip', one.row.name)
      t.equal(admitted.response.patch, undefined)
      const warnings = decision.problems.map((problem) => `reprieve: this pod is not protected: ${problem}`)
      t.same(admitted.response.warnings, warnings, one.row.name)
      const { reasons } = admitted.decision as { reasons?: string[] }
      t.same(
        decision.reasons.filter((reason) => !reasons?.includes(reason)),
        [],
        one.row.name,
      )
    }
  },
)

t.test('the response repeats the decision, for a dry run, too', async (t) => {
  for (const one of cases) {
    const { response, decision } = one
    const { outcome } = decision
    t.equal(response.uid, one.request.uid)
    t.equal(response.allowed, outcome !== 'refuse', one.row.name)
    t.equal(response.patchType, outcome === 'inject' ? 'JSONPatch' : undefined, one.row.name)
    const audit =
      outcome === 'inject' ? { lineage: decision.plan.lineage } : { reasons: decision.reasons.join() }
    t.strictSame(response.auditAnnotations, { outcome, ...audit }, one.row.name)
    if (outcome === 'refuse') {
      t.match(response.status, { code: 422, reason: 'Invalid' }, one.row.name)
      const parts = response.status?.message.split(/: \(1\) |; \(\d+\) /).slice(1)
      t.same(parts, decision.problems, one.row.name)
    }
    const { dryRun = false } = one.request
    t.strictSame(
      ask({ ...one, request: { ...one.request, dryRun: !dryRun } }).response,
      response,
      one.row.name,
    )
  }
})

t.test(
  'the table has every recorded review, every annotation refused, and every reason of a decision',
  async (t) => {
    const rows = all.flatMap((table) => table.rows.map(({ row }) => row))
    t.equal(new Set(rows.map(({ name }) => name)).size, rows.length, 'each name once')
    t.same(
      new Set(rows.flatMap(({ review = [] }) => review)),
      new Set(recordedReviews().map(({ name }) => name)),
    )
    const decisions = cases.map((one) => one.decision)
    const problems = decisions.flatMap((decision) => (decision.outcome === 'refuse' ? decision.problems : []))
    for (const name of annotationNames)
      t.ok(
        problems.some((text) => text.startsWith(`${name} is "`)),
        name,
      )
    const found = decisions.flatMap((decision) => (decision.outcome === 'inject' ? [] : decision.reasons))
    // The webhook fails, or the API server calls again: other tests have these.
    const elsewhere = ['already-injected', 'internal-error', 'deadline-passed']
    t.same(new Set([...found, ...elsewhere]), new Set(Object.keys(skipReasons)))
    for (const [reason, { meaning }] of Object.entries(skipReasons)) t.ok(meaning.length > 20, reason)
  },
)

function injections() {
  return cases.flatMap((one) => {
    const { response, decision } = one
    const pod = one.request.object as Pod
    return decision.outcome === 'inject'
      ? [{ ...one, name: one.row.name, pod, decision, after: applied(pod, operationsOf(response)) }]
      : []
  })
}

function problemsOf(pod: Pod): string[] {
  return [...problemsOfCoreV1('Pod', pod), ...problemsBeyondSchema(pod)]
}

/** Without nulls, which mean nothing, and without limits and requests: the answers show where a need on record raises these. */
function comparable(pod: Pod): Pod {
  return JSON.parse(JSON.stringify(pod, (name, value: unknown) => (name === 'resources' || value === null ? undefined : value))) as Pod // prettier-ignore
}

/** By the containers of the pod's owner. */
function classOf({ metadata, spec }: Pod) {
  const initContainers = spec.initContainers?.filter(({ name }) => !name.startsWith('reprieve-')) ?? null
  return qosClassOf({ metadata, spec: { ...spec, initContainers } })
}
