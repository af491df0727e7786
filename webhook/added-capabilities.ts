import { at, listAt } from './json-path.ts'

/** The capabilities that a container adds to the runtime's default set, without the prefix that runtimes take as well: `SYS_PTRACE`. */
export function addedCapabilities(container: unknown): string[] {
  return listAt(at(container, 'securityContext', 'capabilities', 'add')).map((name) =>
    String(name).toUpperCase().replace(/^CAP_/, ''),
  )
}
