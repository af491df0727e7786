/** Parses and writes the lines of launcher/PROTOCOL.md. Input is untrusted: any process of the pod may connect. */

export type FromLauncher =
  | { verb: 'run'; container: string; pid: number; launcher: string; at: RunPosition }
  | { verb: 'started'; root: number }
  | { verb: 'adopted' }
  /** `told`: the signal that told the application to end, if any. */
  | { verb: 'gone'; code: number; told?: number }
  | { verb: 'signal'; number: number; root: number }
  | { verb: 'prestop'; container: string; budgetMs: number }
  | { verb: 'fetch'; url: string; headers: string[] }

export type RunPosition =
  | { state: 'waiting' }
  | { state: 'running'; root: number }
  | { state: 'adopted'; root: number; supervisor: number }
  | { state: 'gone'; code: number; told?: number }

export type ToLauncher =
  | { verb: 'wait'; ms: number }
  | { verb: 'start' }
  | { verb: 'adopt'; root: number; supervisor: number; status: string }
  /** The container stays open. `ms`: the next message comes within that time, else the sidecar hangs; LauncherTalk adds it. */
  | { verb: 'hold'; ms?: number }
  /** The container may end. `code`: replaces the exit code of the application. */
  | { verb: 'release'; code?: number }
  /** The launcher withholds the signals that end the application for so long; 0 passes them on. */
  | { verb: 'withhold'; ms: number }
  | { verb: 'taken'; id: string }
  | { verb: 'failed'; reason: string }
  | { verb: 'fetched'; status: number }

export function formatMessage(message: ToLauncher): string {
  const { verb, ...rest } = message
  return `${[verb, ...Object.entries(rest).map(([key, value]) => `${key}=${value}`)].join(' ')}\n`
}

/** Undefined for a line that the protocol does not have. */
export function parseMessage(line: string): FromLauncher | undefined {
  const [verb = '', ...words] = line.split(' ')
  const values = new Map<string, string>()
  const headers: string[] = []
  for (const word of words) {
    const cut = word.indexOf('=')
    if (cut < 1) return undefined
    if (word.slice(0, cut) === 'header') headers.push(word.slice(cut + 1))
    values.set(word.slice(0, cut), word.slice(cut + 1))
  }
  const text = (key: string) => values.get(key) ?? ''
  const number = (key: string) => (/^\d{1,10}$/.test(text(key)) ? Number(text(key)) : Number.NaN)
  const told = text('told') === '' ? {} : { told: number('told') }
  const whole = (message: FromLauncher): FromLauncher | undefined =>
    Object.values(message).some((value) => Number.isNaN(value)) ? undefined : message
  switch (verb) {
    case 'run': {
      const at = parsePosition(text('state'), told, number)
      if (at === undefined || text('container') === '') return undefined
      return whole({ verb, container: text('container'), pid: number('pid'), launcher: text('launcher'), at })
    }
    case 'started':
      return whole({ verb, root: number('root') })
    case 'adopted':
      return { verb }
    case 'gone':
      return whole({ verb, code: number('code'), ...told })
    case 'signal':
      return whole({ verb, number: number('number'), root: number('root') })
    case 'prestop':
      return text('container') === ''
        ? undefined
        : whole({ verb, container: text('container'), budgetMs: number('budget-ms') })
    case 'fetch':
      return text('url') === '' ? undefined : { verb, url: text('url'), headers }
    default:
      return undefined
  }
}

function parsePosition(
  state: string,
  told: { told?: number },
  number: (key: string) => number,
): RunPosition | undefined {
  const position = ((): RunPosition | undefined => {
    switch (state) {
      case 'waiting':
        return { state }
      case 'running':
        return { state, root: number('root') }
      case 'adopted':
        return { state, root: number('root'), supervisor: number('supervisor') }
      case 'gone':
        return { state, code: number('code'), ...told }
      default:
        return undefined
    }
  })()
  return position !== undefined && Object.values(position).some((value) => Number.isNaN(value))
    ? undefined
    : position
}
