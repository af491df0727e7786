/** A service that announces something every hour, and of whose answers some are none. */
import type { Quirk } from '../sidecar/triggers/clouds/metadata-server.ts'

/** One request in fifty, in turn. */
const every = 50
const troubles: readonly Quirk[] = ['a 404', '429', '500', '503', 'garbage', 'a garbage body', 'half a body', 'a redirect', 'a reset'] // prettier-ignore
/** Hours whose middle has one request that is never answered; each costs the day's run a request's deadline. */
const hangsEvery = 6

export type HardDay = {
  /** The path by which the hours are counted, and how often it is asked in one. */
  lead: RegExp
  anHour: number
  announce: (hour: number) => unknown
  withdraw: () => unknown
}

export function hardDay({ lead, anHour, announce, withdraw }: HardDay): (path: string) => Quirk | undefined {
  let [asked, led] = [0, 0]
  return (path) => {
    asked++
    if (lead.test(path)) {
      const hour = Math.floor(led / anHour)
      const at = led++ % anHour
      if (at === Math.floor(anHour / 4)) announce(hour)
      if (at === Math.floor(anHour / 2)) withdraw()
      if (at === Math.floor((3 * anHour) / 4) && hour % hangsEvery === 1) return 'hang'
    }
    return asked % every === 0 ? troubles[(asked / every) % troubles.length] : undefined
  }
}
