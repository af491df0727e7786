/** Every generated part of the documents, by its name: the only file here that imports the program. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { eventRows } from '../../agent/event-texts.ts'
import { Aws } from '../../sidecar/triggers/clouds/aws.ts'
import { Azure } from '../../sidecar/triggers/clouds/azure.ts'
import { Gcp } from '../../sidecar/triggers/clouds/gcp.ts'
import { cloudSources } from '../../sidecar/triggers/clouds/source-table.ts'
import { explainDisruptions } from '../../sidecar/triggers/agent/disruptions.ts'
import { explainAnswers } from '../../sidecar/triggers/notices/answers.ts'
import { annotationTable } from '../../src/annotations.ts'
import { dumpObstacles, obstacleIn } from '../../src/dump-obstacles.ts'
import { errorCodes } from '../../src/errors.ts'
import { logEvents } from '../../src/log-events.ts'
import { notTakenReasons } from '../../src/not-taken-reasons.ts'
import { reasonKinds, reasonsByKind, rejectionReasons } from '../../src/restore-reasons.ts'
import { readResults } from '../../test/e2e/programs/results.ts'
import { hostilePods } from '../../test/webhook/hostile-pods-table.ts'
import { guardReasons } from '../../webhook/guard/reasons.ts'
import { overloadReasons } from '../../webhook/overload.ts'
import { skipReasons } from '../../webhook/skip-reasons.ts'
import { configKeys } from '../config-docs.ts'
import { deadlinesIn, spanOf } from './deadlines.ts'
import type { Parts } from './markers.ts'
import { code, list, pairs, sentence, table, wrapped, wrappedLines } from './markdown.ts'
import { agentMetricsText } from './agent-metrics.ts'
import { metricsIn } from './metric-rows.ts'
import { sidecarMetricsText } from './sidecar-metrics.ts'
import { webhookMetricsText } from './webhook-metrics.ts'

type Reason = { meaning: string; remedy: string }

export async function parts(root: string): Promise<Parts> {
  return new Map([
    ['annotations', annotations()],
    ['configuration', configuration()],
    ['skip-reasons', skips()],
    ['guard-reasons', reasons(guardReasons)],
    ['restore-reasons', reasons(rejectionReasons)],
    ['reason-kinds', kindsOfReasons()],
    ['not-taken-reasons', reasons(notTakenReasons)],
    ['overload-reasons', table(['Reason', 'Meaning'], Object.entries(overloadReasons).map(([name, meaning]) => [code(name), sentence(meaning)]))], // prettier-ignore
    ['dump-obstacles', list(Object.entries(dumpObstacles).map(([name, { means }]) => ({ name, text: sentence(means) })))], // prettier-ignore
    ['error-codes', reasons(errorCodes)],
    ['deadlines', deadlines(root)],
    ['log-events', pairs(['Event', 'Meaning'], Object.entries(logEvents).map(([event, meaning]) => [code(event), meaning]))], // prettier-ignore
    ['hostile-pods', Object.entries(hostilePods).map(([pod, outcome]) => wrapped(`**${pod}:** ${outcome}`, '- ', '  ')).join('\n')], // prettier-ignore
    ['programs', programs()],
    ['notice-answers', wrappedLines(explainAnswers())],
    ['disruption-rules', explainDisruptions()],
    ['notice-sources', sources()],
    ['sidecar-metrics', metrics(sidecarMetricsText())],
    ['webhook-metrics', metrics(await webhookMetricsText())],
    ['agent-metrics', metrics(await agentMetricsText())],
    ['agent-events', list(eventRows())],
  ])
}

function kindsOfReasons(): string {
  const kinds = [...reasonsByKind()]
  return list(
    kinds.map(([kind, names]) => ({
      name: kind,
      text: `${sentence(reasonKinds[kind])} ${names.map(code).join(', ')}.`,
    })),
  )
}

function annotations(): string {
  const rows = annotationTable.map(({ name, values, fallback, meaning }) => [
    code(name),
    values,
    fallback,
    meaning,
  ])
  return table(['Annotation', 'Values', 'Default', 'Meaning'], rows)
}

function configuration(): string {
  return list(
    configKeys().map(({ key, type, default: fallback, meaning }) => {
      const accepted = type.replace(/^(?=list: |mapping$)/, 'a ')
      const otherwise = fallback === 'none' || fallback === 'required' ? '' : `; default ${fallback}`
      const isRequired = fallback === 'required' ? ' Required.' : ''
      return { name: key, text: `${sentence(meaning)} Accepts ${accepted}${otherwise}.${isRequired}` }
    }),
  )
}

function reasons(all: Readonly<Record<string, Reason>>): string {
  return list(Object.entries(all).map(([name, reason]) => ({ name, text: textOf(reason) })))
}

function skips(): string {
  return list(
    Object.entries(skipReasons).map(([name, reason]) => ({
      name,
      note: reason.whenAsked === 'refuse' ? 'refused' : 'admitted',
      text: textOf(reason),
    })),
  )
}

function textOf({ meaning, remedy }: Reason): string {
  return `${sentence(meaning)} ${sentence(remedy)}`
}

/** Where the program waits: C, TypeScript and the manifests. */
function deadlines(root: string): string {
  const folders = ['src', 'sidecar', 'launcher', 'webhook', 'certs', 'agent', 'manifests/base']
  const found = folders.flatMap((folder) =>
    filesIn(root, folder).flatMap((path) => deadlinesIn(path, readFileSync(join(root, path), 'utf8'))),
  )
  const sorted = found.sort((one, other) => one.cause.localeCompare(other.cause, 'en'))
  const rows = sorted.map(({ cause, effect, afterMs, name }) => [cause, effect, spanOf(afterMs), code(name)])
  return table(['When', 'Reprieve does this', 'After', 'Constant'], rows)
}

function filesIn(root: string, folder: string): string[] {
  let names: string[]
  try {
    names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return []
    throw error
  }
  return names
    .filter((name) => /\.(?:ts|c|h|yaml)$/.test(name))
    .sort()
    .map((name) => join(folder, name))
}

/** Of a reason: the first words tell. */
const mostTold = 120

/** What `make programs` found last. */
function inWords(why: string): string {
  const obstacle = obstacleIn(why)
  return obstacle === undefined
    ? why.replaceAll(/\s+/g, ' ').slice(0, mostTold)
    : dumpObstacles[obstacle].means
}

function programs(): string {
  const { date, reprieve, kernel, programs: all } = readResults()
  const rows = all.map(({ name, version, outcome }) => [
    name,
    version,
    outcome === 'goes-on' ? 'goes on' : outcome,
  ])
  const tried = `Tried on ${date} with Reprieve ${reprieve} and Linux ${kernel}:`
  const did = all.map(({ name, about, why }) => ({
    name,
    text: `${sentence(about)}${why === undefined ? '' : ` Seen: ${sentence(inWords(why))}`}`,
  }))
  return [
    tried,
    table(['Program', 'Version', 'Outcome'], rows),
    'Each of them does and checks this:',
    list(did),
  ].join('\n\n')
}

function sources(): string {
  const watches = [new Aws(), new Gcp(), new Azure()].flatMap((cloud) => cloud.watches())
  const rows = watches.map(({ source, everyMs }) => {
    const about = cloudSources[source]
    if (about === undefined) throw new Error(`source-table.ts says nothing of ${source}`)
    const pace = about.waits ? 'one request that waits for a change' : `every ${everyMs / 1_000} s`
    return [code(source), pace, about.announces]
  })
  return table(['Source', 'Asked', 'Announces'], rows)
}

function metrics(text: string): string {
  return pairs(
    ['Metric', 'Meaning'],
    metricsIn(text).map(({ name, help }) => [code(name), help]),
  )
}
