/**
 * What a million reviews do to the webhook's memory (REPRIEVE_BENCH_REQUESTS): what is resident after all of them, over what was resident after the
 * first tenth, when all that is compiled and cached on first use is there.
 */
import { report, round, say, type Result } from './lib/report.ts'
import { idleMiB, ourWebhook, prepareGround } from './lib/webhook-under-load.ts'

const requests = Number(process.env.REPRIEVE_BENCH_REQUESTS ?? 1_000_000)
/** After each of which something is told. */
const parts = 9

await report({ rss_growth_MiB: 10 }, async (): Promise<Result> => {
  const ground = prepareGround()
  const ours = await ourWebhook(ground)
  const tenth = Math.ceil(requests / (parts + 1))
  let done = (await ground.ask(ours, { atLeastRequests: tenth })).requests
  const before = await idleMiB(ours.served)
  say(`${done} requests, ${round(before)} MiB`)
  const residentMiB = [round(before)]
  for (let part = 0; part < parts; part++) {
    const { requests: more, rps } = await ground.ask(ours, { atLeastRequests: tenth })
    done += more
    residentMiB.push(round(await idleMiB(ours.served)))
    say(`${done} requests, ${residentMiB.at(-1)} MiB, ${Math.round(rps)} a second`)
  }
  return {
    bench: 'webhook-memory',
    ratios: { rss_growth_MiB: round((residentMiB.at(-1) ?? Number.NaN) - before) },
    figures: { requests: done, residentMiB },
  }
})
