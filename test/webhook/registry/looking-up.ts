/** A look-up as the webhook has one, against servers of the loopback. */
import { pino } from 'pino'
import type { EntrypointConfig } from '../../../src/config.ts'
import type { StoredCredential } from '../../../webhook/registry/docker-config.ts'
import { ImageLookUp } from '../../../webhook/registry/image-look-up.ts'
import { rangesIn } from '../../../webhook/registry/inside.ts'
import { namedHosts } from '../../../webhook/registry/sources.ts'
import { createTransport } from '../../../webhook/registry/transport.ts'

export type Clock = { now: number }

export function lookUp(
  config: Partial<EntrypointConfig>,
  { authorities = [], clock }: { authorities?: string[]; clock?: Clock } = {},
) {
  const whole = { budgetMs: 4000, plainHttp: [], mirrors: new Map(), insideRegistries: [], ...config }
  const ranges = rangesIn(whole.insideRegistries)
  const trust = { plainHttp: whole.plainHttp, named: namedHosts(whole), ranges }
  const transport = createTransport(trust, authorities)
  const images = new ImageLookUp({
    config: whole,
    transport,
    log: pino({ level: 'silent' }),
    ...(clock === undefined ? {} : { now: () => clock.now }),
  })
  return {
    images,
    find: (image: string, stored: StoredCredential[] = [], architecture = 'amd64', waitMs = 10_000) =>
      images.find({ image, architecture, stored }, waitMs),
  }
}

export function password(place: string, username: string, word: string): StoredCredential {
  return { place, credential: { kind: 'password', username, password: word } }
}
