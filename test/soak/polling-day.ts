/**
 * What a sidecar does all day for one cloud, without the waiting: `polling-day.ts CLOUD HOST PORT HOURS`. Every question that so many
 * hours hold is asked, by the sidecar's own parts with the sidecar's own flags; only the pauses between them are left out, in which
 * nothing runs. Prints one line of `day.ts` for each hour.
 */
import { Aws } from '../../sidecar/triggers/clouds/aws.ts'
import { Azure } from '../../sidecar/triggers/clouds/azure.ts'
import type { Cloud } from '../../sidecar/triggers/clouds/cloud.ts'
import { CloudWatcher } from '../../sidecar/triggers/clouds/cloud-watcher.ts'
import { Gcp } from '../../sidecar/triggers/clouds/gcp.ts'
import { hourMs, quietParts, teller } from './day.ts'

const [name = '', host = '', port = '', hours = ''] = process.argv.slice(2)
const endpoint = { host, port: Number(port) }
const clouds: Record<string, Cloud> = {
  aws: new Aws(endpoint),
  // The server answers a request that waits for a change when its time is over: here at once, on the day after a minute.
  gcp: new Gcp(endpoint, { waitSeconds: 0 }),
  azure: new Azure(endpoint),
}
const cloud = clouds[name]
if (cloud === undefined) throw new Error(`no cloud ${name}`)

const { log, book, notices } = await quietParts()

/** The watch by which the hours are counted. */
let lead: unknown

/** A request that waits for a minute is asked once a minute. */
const everyMs = (pauseMs: number) => pauseMs + (name === 'gcp' ? 60_000 : 0)
const ends: Promise<void>[] = []
const counted: Cloud = {
  name: cloud.name,
  probe: (signal) => cloud.probe(signal),
  watches: () =>
    cloud.watches().map((watch) => {
      const aDay = Math.ceil((Number(hours) * hourMs) / everyMs(watch.everyMs))
      let asked = 0
      const { promise, resolve } = Promise.withResolvers<void>()
      ends.push(promise)
      return {
        source: watch.source,
        everyMs: 0,
        slowestMs: 0,
        read: async (signal) => {
          // Its day is over; the others' may not be.
          if (asked === aDay) {
            resolve()
            await new Promise((_, reject) =>
              signal.addEventListener('abort', () => reject(new Error('over'))),
            )
          }
          asked++
          if (watch === lead && asked % Math.ceil(aDay / Number(hours)) === 0) tell()
          lead ??= watch
          return watch.read(signal)
        },
      }
    }),
}
const tell = teller(book)

// As the sidecar's sockets do, which listen.
const alive = setInterval(() => undefined, hourMs)
const watcher = new CloudWatcher([counted], (...said) => notices.hear(...said), book, log)
watcher.start()
while (watcher.found === undefined) await new Promise((resolve) => setTimeout(resolve, 5))
await Promise.all(ends)
tell()
await watcher.stop()
clearInterval(alive)
