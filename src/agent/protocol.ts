/** What the node agent and a sidecar say to each other; agent/PROTOCOL.md tells it in words. Parsing is strict about known fields only. */
import { isRecord } from '../shape.ts'

/** The versions of the protocol that this program speaks. */
export const protocols: readonly number[] = [1, 2]
/** The first one in which the sidecar reports (report.ts). */
export const reportingSince = 2

/** A line with its end. */
export const longestLineBytes = 64 * 1024
/** More of one pod is not told. */
export const mostDisruptions = 64
const longestText = 500

/** What Kubernetes says of a pod or of its node. The sidecar decides what that means (sidecar/triggers/agent/disruptions.ts). */
export const disruptionFacts = {
  deleted: 'deletion timestamp',
  'disruption-target': 'condition `DisruptionTarget` with the reason',
  'no-execute': 'taint `NoExecute` that the pod does not tolerate for ever',
  taint: 'taint of the node',
  cordon: 'the node is unschedulable',
  condition: 'condition of the node that is not as it should be',
} as const
export type DisruptionFact = keyof typeof disruptionFacts

export type Disruption = {
  /** Tells it from others of the pod, now and later. */
  id: string
  fact: DisruptionFact
  name?: string
  /** Milliseconds since the epoch from which on the pod may be gone; absent: nobody says. */
  deadlineMs?: number
  /** In the words of Kubernetes, for people. */
  detail: string
}

export type Hello = { protocols: number[]; podUid: string; agent: string; node: string }

/** The newest protocol that both speak. */
export function commonProtocol(offered: readonly number[]): number | undefined {
  return protocols.filter((one) => offered.includes(one)).sort((one, other) => other - one)[0]
}

/** @returns undefined for what is no hello */
export function parseHello(body: Record<string, unknown>): Hello | undefined {
  const { protocols: offered, podUid, agent, node } = body
  if (!Array.isArray(offered) || !offered.every((one) => Number.isSafeInteger(one))) return undefined
  if (!isText(podUid) || !isText(agent) || !isText(node)) return undefined
  return { protocols: offered as number[], podUid, agent, node }
}

/** `unknown`: the ids of what a newer agent may say and this program does not know. @returns undefined for what is no list of disruptions */
export function parseDisruptions(
  body: Record<string, unknown>,
): { known: Disruption[]; unknown: string[] } | undefined {
  const { disruptions } = body
  if (!Array.isArray(disruptions) || disruptions.length > mostDisruptions) return undefined
  const [known, unknown]: [Disruption[], string[]] = [[], []]
  for (const one of disruptions as unknown[]) {
    if (!isRecord(one) || !isText(one.id) || !isText(one.fact)) return undefined
    const disruption = parseDisruption(one)
    if (disruption === undefined) unknown.push(one.id)
    else known.push(disruption)
  }
  return { known, unknown }
}

function parseDisruption(one: Record<string, unknown>): Disruption | undefined {
  const { id, fact, name, deadlineMs, detail } = one
  if (!Object.keys(disruptionFacts).includes(String(fact)) || !isText(detail)) return undefined
  if (name !== undefined && !isText(name)) return undefined
  if (deadlineMs !== undefined && !Number.isSafeInteger(deadlineMs)) return undefined
  return {
    id: String(id),
    fact: fact as DisruptionFact,
    ...(name === undefined ? {} : { name }),
    ...(deadlineMs === undefined ? {} : { deadlineMs: Number(deadlineMs) }),
    detail,
  }
}

export type GrowWish = { container: string; limitBytes: number; deadlineMs: number }

/** @returns undefined for what is no wish for more memory */
export function parseGrowWish(body: Record<string, unknown>): GrowWish | undefined {
  const { container, limitBytes, deadlineMs } = body
  if (!isText(container) || !isCount(limitBytes) || !isCount(deadlineMs)) return undefined
  return { container, limitBytes, deadlineMs }
}

/** What is told to people, and sent no longer than a reader takes it. */
export function shortened(text: string): string {
  return text.length > longestText ? text.slice(0, longestText).toWellFormed() : text
}

/** Without what moves a terminal, and what JSON writes six times as long. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, ' ')
}

export function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= longestText
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) > 0
}
