/**
 * Hooks and probes of a container that address its process 1. Where processes are shared, that is the pod's own pause process: a signal to it ends
 * nothing, and what is written to its descriptors reaches no log. Pure.
 * https://kubernetes.io/docs/tasks/configure-pod-container/share-process-namespace/
 */
import { at, listAt } from './json-path.ts'
import type { Container } from './pod.ts'

const places = [
  ['preStop', 'lifecycle', 'preStop'],
  ['postStart', 'lifecycle', 'postStart'],
  ['livenessProbe', 'livenessProbe'],
  ['readinessProbe', 'readinessProbe'],
  ['startupProbe', 'startupProbe'],
] as const

/** Programs whose arguments are numbers of processes, and their options that take a value. */
const programs = new Map([
  ['kill', ['-s', '-n', '--signal', '-q', '--queue', '--timeout']],
  ['jcmd', []],
  ['jstack', []],
  ['jmap', []],
  ['py-spy', ['-p', '--pid']],
  ['gcore', ['-o']],
])

export function processOneWarnings(container: Container): string[] {
  return places.flatMap(([name, ...path]) => {
    const words = listAt(at(container, ...path, 'exec', 'command')).filter((word) => typeof word === 'string')
    return addressesProcessOne(words)
      ? [
          `container ${container.name}: its ${name} addresses process 1, which is the pause process where processes are shared. Address the program by its name, for example with pkill`,
        ]
      : []
  })
}

/** Scripts are read as far as words and separators go: `sh -c 'kill -TERM 1; sleep 5'`. */
function addressesProcessOne(command: readonly string[]): boolean {
  const text = command.join(' ')
  // Most hooks and probes have no such number, and every pod is asked.
  if (!text.includes('1')) return false
  if (/\/proc\/1\//.test(text)) return true
  return text.split(/[;&|\n(){}`]+/).some((statement) => {
    const words = statement.trim().split(/\s+/).map((word) => word.replaceAll(/^["']+|["']+$/g, '')) // prettier-ignore
    return words.some((word, index) => isSentToOne(word, words.slice(index + 1)))
  })
}

function isSentToOne(program: string, args: readonly string[]): boolean {
  const valued = programs.get(program.slice(program.lastIndexOf('/') + 1))
  if (valued === undefined) return false
  let isOver = false
  for (const [index, word] of args.entries()) {
    if (/^(?:\d*[<>]|#)/.test(word)) return false
    if (word === '--') isOver = true
    else if (word === '1' && !(valued.includes(args[index - 1] ?? '') && program.endsWith('kill')))
      return true
    else if (isOver && word === '-1') return true
  }
  return false
}
