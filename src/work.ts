/**
 * Which work a container does: another object of the same name, or another template, is other work, and a checkpoint of one must not be
 * restored into the other. Pure.
 */
import { mapOf, text } from './shape.ts'

/** The parts of a template that a running process has taken in, by name (`image`, `env LEARNING_RATE`), each as a short hash. */
export type WorkParts = Readonly<Record<string, string>>

export type Work = {
  /** The UID of the owner, which tells it from an earlier object of the same name. Missing where the name alone counts. */
  incarnation?: string
  /** SHA-256 (hex) over the parts. */
  fingerprint: string
  /** Missing in manifests of the releases before 0.3. */
  parts?: WorkParts
}

/** The work of a container that starts. */
export type OwnWork = Work & {
  /** The fingerprint as the releases before 0.3 made it, for their manifests. Missing in their plans. */
  earlierFingerprint?: string
}

export const workPartsLimits = { parts: 1_000, nameBytes: 1_024, planBytes: 3_072 } as const

export const workPartsShape = mapOf(
  text('the name of a part', workPartsLimits.nameBytes, (name) => name !== ''),
  text('a hash in lower-case hex', 64, (hash) => /^[0-9a-f]+$/.test(hash)),
  workPartsLimits.parts,
)

/** The name of a difference that is none of the template. */
const newOwner = 'the owner (a new object of the same name)'
const earlierParts = 'image, command, args, workingDir or mounts'
const unnamed = 'the template'

/** What tells two works apart, by name; empty where they are the same. */
export function differencesOf(made: Work, here: OwnWork): string[] {
  const owner = [made.incarnation, here.incarnation]
  const changed = owner.includes(undefined) || owner[0] === owner[1] ? [] : [newOwner]
  return [...changed, ...templateDifferences(made, here)]
}

function templateDifferences(made: Work, here: OwnWork): string[] {
  if (made.fingerprint === here.fingerprint) return []
  if (made.parts === undefined) return made.fingerprint === here.earlierFingerprint ? [] : [earlierParts]
  if (here.parts === undefined) return [unnamed]
  const [before, now] = [made.parts, here.parts]
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])].sort()
  const differing = names.filter((name) => own(before, name) !== own(now, name))
  return differing.length === 0 ? [unnamed] : differing
}

function own(parts: WorkParts, name: string): string | undefined {
  return Object.hasOwn(parts, name) ? parts[name] : undefined
}

export function isNewOwner(difference: string): boolean {
  return difference === newOwner
}

/**
 * Whether a checkpoint can be restored in spite of the difference, when its id is asked for. The process keeps its old environment, command
 * and owner. Files, mounts and rights are those of the new pod, which an old process would not fit, or would exceed.
 */
export function canBeOverridden(difference: string): boolean {
  return (
    difference === newOwner ||
    /^(command|args|workingDir|envFrom|env|env .*|annotation|annotation .*)$/s.test(difference)
  )
}

/** A few names in one line; a name may come from a stranger's pod. */
export function namesOf(differences: readonly string[]): string {
  const shown = differences.slice(0, 5).map((name) => (name.length > 80 ? `${name.slice(0, 77)}...` : name))
  const more = differences.length - shown.length
  return shown.join(', ') + (more > 0 ? ` and ${more} more` : '')
}
