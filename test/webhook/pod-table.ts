/**
 * The table of pods: each row of `test/fixtures/pods/*.yaml` is a sentence, one or more pods as changes of the base pod, and the
 * answer of the webhook. An answer that injects says only where it differs from the base pod's, which stands there in full.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { isNode, parse, parseDocument, stringify, visit, type YAMLSeq } from 'yaml'
import type { Config } from '../../src/config.ts'
import { parseQuantityBytes } from '../../src/quantity.ts'
import type { Findings } from '../../webhook/admit.ts'
import type { OptedInBy } from '../../webhook/decide.ts'
import type { Entrypoint } from '../../webhook/entrypoints.ts'
import type { Pod } from '../../webhook/pod.ts'
import type { AdmissionRequest } from '../../webhook/review.ts'
import { isRecord } from '../../webhook/shape.ts'
import { recordedReviews, sampleConfig, samplePod } from './admission-fixtures.ts'

/** `container` changes the first container, and `annotations` those of the base pod. Null removes what the base pod has. */
type PodChange = { annotations?: object; metadata?: object; spec?: object; container?: object }

export type Row = {
  name: string
  pod?: PodChange | PodChange[]
  /** The names of recorded reviews, instead of pods. */
  review?: string[]
  entry?: OptedInBy[]
  namespace?: string
  /** Lines of the configuration beside the sample's. */
  config?: object
  /** By container: the answer of the image's registry. */
  images?: Record<string, Entrypoint>
  /** By container: the recorded memory need of the lineage. */
  needs?: Record<string, string>
  answer?: unknown
}

export type Case = {
  row: Row
  request: AdmissionRequest
  entry: OptedInBy
  config: Config
  found: Findings
}

const recorded = new Map(recordedReviews().map(({ name, request }) => [name, request]))
/** It has a profile, so that no row needs the warning about one. */
const basePod = samplePod({ spec: { securityContext: { seccompProfile: { type: 'RuntimeDefault' } } } })
const folder = new URL('../fixtures/pods/', import.meta.url)
export const tables = readdirSync(folder).sort()

export function rowsOf(table: string): Row[] {
  return parse(readFileSync(new URL(table, folder), 'utf8'), { merge: true }) as Row[]
}

/** Every case of the row: all of them have the same answer. */
export function casesOf(row: Row): Case[] {
  const { entry = ['pod'], config, images, needs } = row
  const used = sampleConfig((text) => (config === undefined ? text : `${text}\n${stringify(config)}`))
  const found: Findings = {}
  if (images !== undefined) found.entrypoints = new Map(Object.entries(images))
  if (needs !== undefined) found.needs = new Map(Object.entries(needs).map(([name, need]) => [name, parseQuantityBytes(need) ?? 0])) // prettier-ignore
  return requestsOf(row).flatMap((request) => entry.map((one) => ({ row, request, entry: one, config: used, found }))) // prettier-ignore
}

function requestsOf({ review, pod = {}, namespace = 'ml-team' }: Row): AdmissionRequest[] {
  if (review !== undefined) return review.map(reviewCalled)
  const request = reviewCalled('create-bare-pod')
  return [pod]
    .flat()
    .map((change) => Object.assign({}, request, { namespace, object: changed(basePod, change) }))
}

function reviewCalled(name: string): AdmissionRequest {
  const request = recorded.get(name)
  if (request === undefined) throw new Error(`no review ${name} was recorded`)
  return request
}

function changed(pod: Pod, { annotations = {}, metadata = {}, spec = {}, container = {} }: PodChange): Pod {
  const containers = pod.spec.containers.map((one) => merged(one, container))
  return merged(pod, { metadata: { annotations, ...metadata }, spec: { containers, ...spec } }) as Pod
}

/** As RFC 7396, but a null stays where the base has nothing to remove. */
function merged(base: unknown, change: unknown): unknown {
  if (!isRecord(change)) return change
  const result = isRecord(base) ? { ...base } : {}
  for (const [name, value] of Object.entries(change))
    if (value === null && Object.hasOwn(result, name)) delete result[name]
    else result[name] = merged(result[name], value)
  return result
}

/** Writes the answers, one for each row, and leaves the rest of the table as it is. */
export function writeAnswers(table: string, answers: unknown[]): void {
  const file = new URL(table, folder)
  const document = parseDocument(readFileSync(file, 'utf8'), { merge: true })
  for (const [index, answer] of answers.entries()) {
    const node = document.createNode(answer)
    visit(node, {
      Collection: (_, collection) => {
        collection.flow = JSON.stringify(collection).length < 130
        return collection.flow ? visit.SKIP : undefined
      },
    })
    const row = (document.contents as YAMLSeq).get(index)
    if (isNode(row)) document.setIn([index, 'answer'], node)
  }
  writeFileSync(file, document.toString({ lineWidth: 0, flowCollectionPadding: true, indentSeq: false }))
}
