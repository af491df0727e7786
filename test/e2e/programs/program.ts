/** A real program of Debian that is protected: how it is started, and how it is asked whether its state is what it should be. */
export type RealProgram = {
  /** Its container's name, too. */
  name: string
  /** For the table: what it does meanwhile, and what it checks. */
  about: string
  /** Debian packages. The version of the first is told. */
  packages: string[]
  /** Its scripts and settings: keys of a config map that is mounted at /program. */
  files?: Record<string, string>
  command: string[]
  /**
   * Run by `sh -c` in the container: checks the program's own state, and prints how far it has come, a number that grows. It fails where
   * something is wrong.
   */
  check: string
}

/** Runs a service in the background, and a client of it in front. */
export function beside(service: string, client: string): string[] {
  return ['bash', '-c', `${service} & ${client}`]
}

/** In a script of bash: tells how far it has come, in one step. */
export const tell = 'echo "$turn" >/tmp/turn.new && mv /tmp/turn.new /tmp/turn'

/** And asks. */
export const told = 'cat /tmp/turn'
