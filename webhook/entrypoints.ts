/** The entrypoints of images as far as they are known, and the command that a container therefore runs. Pure. */
import { effectiveCommand } from './effective-command.ts'
import type { Obstacle } from './obstacles.ts'
import type { Container } from './pod.ts'
import type { ImageCommand } from './registry/manifest.ts'

/**
 * `why` is for the pod's owner. `fault` says who can mend it: the owner (a wrong name, no right to see the image), or
 * others, and then the pod must not suffer for it.
 */
export type Entrypoint =
  { known: true; command: ImageCommand } | { known: false; why: string; fault: 'owner' | 'elsewhere' }

/** By the container's name. */
export type Entrypoints = ReadonlyMap<string, Entrypoint>

export const noEntrypoints: Entrypoints = new Map()

type Unknown = Entrypoint & { known: false }

/** The command of each container, by its name. */
export type Commands = ReadonlyMap<string, readonly string[]>

export function commandsOf(
  containers: readonly Container[],
  entrypoints: Entrypoints,
): { commands: Commands; unknown: Obstacle[] } {
  const commands = new Map<string, readonly string[]>()
  const unknown: Obstacle[] = []
  for (const container of containers) {
    const found = commandOf(container, entrypoints.get(container.name))
    if ('why' in found) unknown.push(obstacle(container, found))
    else commands.set(container.name, found.words)
  }
  return { commands, unknown }
}

function commandOf(
  container: Container,
  found: Entrypoint = { known: false, why: 'its registry was not asked', fault: 'owner' },
): { words: readonly string[] } | Unknown {
  const given = container.command ?? []
  if (given.length > 0) return { words: given }
  if (!found.known) return found
  const words = effectiveCommand(container, found.command)
  return words.length + (container.args ?? []).length > 0
    ? { words }
    : { known: false, why: 'it has neither an entrypoint nor a command', fault: 'owner' }
}

function obstacle({ name, image }: Container, { why, fault }: Unknown): Obstacle {
  const shown = shortened(image ?? '')
  return {
    reason: fault === 'owner' ? 'entrypoint-unknown' : 'registry-unavailable',
    // The remedy comes first: the API server cuts long warnings.
    text: `container ${name} gives no command: write it there, since what its image ${shown} runs is not known: ${why}`,
  }
}

function shortened(image: string): string {
  return JSON.stringify(image.length > 100 ? `${image.slice(0, 97)}...` : image)
}
