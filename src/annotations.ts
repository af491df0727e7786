/** The public contract: what an owner may ask of Reprieve on a pod, read from its annotations, all problems at once. */
import { parseDurationMs } from './duration.ts'
import { keyForm } from './lineage.ts'
import {
  externalFilesChoices,
  triggerNames,
  type ExternalFilesChoice,
  type MemoryPressureAnswer,
  type TriggerName,
} from './pod-plan.ts'
import { parseQuantityBytes } from './quantity.ts'

export const prefix = 'reprieve.dev/'
export const optInAnnotation = `${prefix}checkpoint`
export const injectedLabel = `${prefix}injected`

/** The wishes of a pod; a wish that it leaves out is undefined and takes the configuration's default. */
export type Wishes = {
  containers?: string[]
  triggers?: TriggerName[]
  interval?: 'auto' | 'off' | { everyMs: number }
  memoryThresholdPercent?: number
  onMemoryPressure?: MemoryPressureAnswer
  memoryMaxBytes?: number
  store?: string
  keep?: number
  key?: string
  restore?: string
  externalFiles?: ExternalFilesChoice
  exclude?: string[]
  withoutEnv?: string[]
  seccomp?: 'default' | 'keep'
}

/** `problem` says what would have been accepted. */
type Read<T> = { value: T } | { problem: string }

export const checkpointIdForm = /^\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{8}$/

/** Where a pod does not say. */
export const defaultMemoryThresholdPercent = 85

const shortestIntervalMs = 1000
/** A year: longer than any pod is meant to live, and short enough to be told as a date from now. */
const longestIntervalMs = 8_760 * 3_600_000

/** `values`, `fallback` and `meaning` are for the documentation, in Markdown. */
type Described = { name: string; values: string; fallback: string; meaning: string }

const readers: {
  [K in keyof Wishes]-?: Described & { read: (text: string) => Read<NonNullable<Wishes[K]>> }
} = {
  containers: {
    name: 'containers',
    values: 'names, separated by commas; at most 20',
    fallback: 'one container',
    meaning: 'The containers that are protected.',
    read: readNames,
  },
  store: {
    name: 'store',
    values: 'the name of a configured store',
    fallback: '`default`',
    meaning: 'The store that keeps the checkpoints.',
    read: (text) =>
      /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text)
        ? { value: text }
        : { problem: 'the name of a configured store, never a path or a URL' },
  },
  keep: {
    name: 'keep',
    values: 'a number from 1 to 100',
    fallback: '`keep` of config.yaml',
    meaning: 'How many checkpoints the store keeps.',
    read: (text) =>
      /^[1-9]\d?$|^100$/.test(text) ? { value: Number(text) } : { problem: 'a whole number from 1 to 100' },
  },
  key: {
    name: 'key',
    values: 'a name of at most 63 characters',
    fallback: 'from the owner',
    meaning: "The lineage's name, instead of the owner's.",
    read: (text) =>
      keyForm.test(text)
        ? { value: text }
        : {
            problem:
              'up to 63 letters, digits, ".", "_" and "-", beginning and ending with a letter or a digit',
          },
  },
  restore: {
    name: 'restore',
    values: "`latest`, `never`, or a checkpoint's id",
    fallback: '`latest`',
    meaning: 'The checkpoint that a new pod continues from.',
    read: (text) =>
      text === 'latest' || text === 'never' || checkpointIdForm.test(text)
        ? { value: text }
        : { problem: 'latest, never, or the id of a checkpoint such as 20260102T030405.678Z-89abcdef' },
  },
  triggers: {
    name: 'triggers',
    values: `\`${triggerNames.join(',')}\``,
    fallback: 'all',
    meaning: 'The reasons for which checkpoints are taken.',
    read: readTriggers,
  },
  interval: {
    name: 'interval',
    values: '`1s` to `8760h`, `auto`, or `off`',
    fallback: '`auto`',
    meaning: 'The time between two periodic checkpoints.',
    read: readInterval,
  },
  memoryThresholdPercent: {
    name: 'memory-threshold',
    values: '`1%` to `99%`',
    fallback: `\`${defaultMemoryThresholdPercent}%\``,
    meaning: 'The share of the memory limit that counts as full.',
    read: readPercent,
  },
  onMemoryPressure: {
    name: 'on-memory-pressure',
    values: '`grow`, `reschedule`, `checkpoint`',
    fallback: '`grow`',
    meaning: 'The answer to a full memory.',
    read: (text) =>
      text === 'grow' || text === 'reschedule' || text === 'checkpoint'
        ? { value: text }
        : { problem: 'one of grow, reschedule, checkpoint' },
  },
  memoryMaxBytes: {
    name: 'memory-max',
    values: "a quantity, at least the container's limit",
    fallback: '`memory.max`',
    meaning: 'How far the memory limit may grow.',
    read: (text) => {
      const bytes = parseQuantityBytes(text)
      return bytes === undefined || bytes === 0
        ? { problem: 'a quantity above 0, for example 16Gi' }
        : { value: bytes }
    },
  },
  externalFiles: {
    name: 'external-files',
    values: '`safe`, `rewind`, `ignore`',
    fallback: '`safe`',
    meaning: 'Files on lasting volumes at a restore.',
    read: (text) => {
      const choice = externalFilesChoices.find((one) => one === text)
      return choice === undefined
        ? { problem: `one of ${externalFilesChoices.join(', ')}` }
        : { value: choice }
    },
  },
  exclude: {
    name: 'exclude',
    values: 'absolute paths, separated by commas',
    fallback: 'none',
    meaning: 'Paths of volumes that do not travel.',
    read: readPaths,
  },
  withoutEnv: {
    name: 'without-env',
    values: 'names or `PREFIX_*`, separated by commas',
    fallback: 'none',
    meaning: 'Variables that make no other work.',
    read: readVariables,
  },
  seccomp: {
    name: 'seccomp',
    values: '`default`, `keep`',
    fallback: '`default`',
    meaning: 'Whether a container without a profile gets one.',
    read: (text) =>
      text === 'default' || text === 'keep' ? { value: text } : { problem: 'default or keep' },
  },
}

/** Every annotation with what the documentation says of it. */
export const annotationTable: readonly Described[] = [
  {
    name: optInAnnotation,
    values: '`"true"`, `"false"`',
    fallback: "the namespace's",
    meaning: 'Whether the pod is protected.',
  },
  ...Object.values(readers).map(({ name, values, fallback, meaning }) => ({
    name: prefix + name,
    values,
    fallback,
    meaning,
  })),
]

const annotationReaders = Object.entries(readers).map(
  ([field, { name, read }]): {
    field: string
    annotation: string
    read: (text: string) => Read<unknown>
  } => ({
    field,
    annotation: prefix + name,
    read,
  }),
)

export const annotationNames: readonly string[] = annotationTable.map(({ name }) => name)

/** The pod's own word: beats the namespace's, both ways. */
export type OptIn = 'yes' | 'no' | 'unsaid' | 'unclear'

export function readOptIn(annotations: Readonly<Record<string, string>>): OptIn {
  const text = own(annotations, optInAnnotation)
  if (text === undefined) return 'unsaid'
  if (text === 'true') return 'yes'
  return text === 'false' ? 'no' : 'unclear'
}

export function readWishes(annotations: Readonly<Record<string, string>>): {
  wishes: Wishes
  problems: string[]
  /** Annotations of ours that this version does not know: told, not refused, since a newer one may know them. */
  unknown: string[]
} {
  const problems: string[] = []
  const wishes: Wishes = {}
  // Most pods of a namespace that opted in say nothing themselves.
  const ours = Object.keys(annotations).filter((key) => key.startsWith(prefix))
  if (ours.length === 0) return { wishes, problems, unknown: ours }
  if (readOptIn(annotations) === 'unclear')
    problems.push(problemOf(optInAnnotation, own(annotations, optInAnnotation) ?? '', '"true" or "false"'))
  for (const { field, annotation, read } of annotationReaders) {
    const text = own(annotations, annotation)
    if (text === undefined) continue
    const result = read(text)
    if ('problem' in result) problems.push(problemOf(annotation, text, result.problem))
    else Object.assign(wishes, { [field]: result.value })
  }
  return { wishes, problems, unknown: ours.filter((key) => !annotationNames.includes(key)) }
}

function problemOf(annotation: string, text: string, accepted: string): string {
  const shown = text.length > 80 ? `${text.slice(0, 77)}...` : text
  return `${annotation} is ${JSON.stringify(shown)}; accepted: ${accepted}`
}

function readNames(text: string): Read<string[]> {
  const names = listOf(text)
  const valid = names.length > 0 && names.every((name) => /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name))
  return valid && new Set(names).size === names.length
    ? { value: names }
    : { problem: "a comma-separated list of the pod's container names, each once" }
}

const mostPaths = 50

function readPaths(text: string): Read<string[]> {
  const paths = listOf(text).map((path) => path.replace(/(?<=.)\/$/, ''))
  const isWhole = paths.every((path) => /^(?:\/(?!\.{1,2}(?:\/|$))[^/\p{Cc}]+)+$/u.test(path))
  return isWhole && paths.length <= mostPaths && new Set(paths).size === paths.length
    ? { value: paths }
    : {
        problem: `a comma-separated list of at most ${mostPaths} absolute paths without "." and "..", each once`,
      }
}

const mostVariables = 50

function readVariables(text: string): Read<string[]> {
  const names = listOf(text)
  return names.every((name) => /^[^*=\s]{1,256}\*?$/.test(name)) && names.length <= mostVariables
    ? { value: names }
    : {
        problem: `a comma-separated list of at most ${mostVariables} names of variables, or their beginnings and "*"`,
      }
}

function readTriggers(text: string): Read<TriggerName[]> {
  const names = listOf(text)
  const known = triggerNames.filter((trigger) => names.includes(trigger))
  return names.length > 0 && known.length === names.length
    ? { value: known }
    : { problem: `a comma-separated list of any of ${triggerNames.join(', ')}, each once` }
}

function readInterval(text: string): Read<NonNullable<Wishes['interval']>> {
  if (text === 'auto' || text === 'off') return { value: text }
  const everyMs = parseDurationMs(text)
  return everyMs === undefined || everyMs < shortestIntervalMs || everyMs > longestIntervalMs
    ? { problem: 'auto, off, or a duration from 1s to 8760h such as 15m' }
    : { value: { everyMs } }
}

function readPercent(text: string): Read<number> {
  return /^[1-9]\d?%$/.test(text)
    ? { value: Number(text.slice(0, -1)) }
    : { problem: 'a percentage from 1% to 99%' }
}

function listOf(text: string): string[] {
  return text.split(',').map((name) => name.trim())
}

function own(map: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(map, key) ? map[key] : undefined
}
