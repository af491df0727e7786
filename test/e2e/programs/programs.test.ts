/**
 * The real programs of every day (catalogue.ts) for three generations. With REPRIEVE_PROGRAMS=all, or with names of groups, those, and what
 * is found is recorded for the table (`make programs`).
 */
import t from 'tap'
import { realProgramsImage } from '../../images/debian.ts'
import { openStage } from '../support.ts'
import { groups, packagesOf } from './catalogue.ts'
import { runGenerations } from './generations.ts'
import { recordResults } from './results.ts'

/** On a machine without CAP_SYS_RESOURCE the processes of another user cannot be saved. */
const withoutRights = /Can't get rlimit/
const wanted = process.env.REPRIEVE_PROGRAMS?.split(',')

for (const [name, programs] of Object.entries(groups)) {
  if (!(wanted ?? ['every-day']).some((word) => word === 'all' || word === name)) continue
  t.test(`programs of the group ${name} go on for three generations, or are refused`, async (t) => {
    const base = await realProgramsImage(name, packagesOf(programs))
    const outcomes = await runGenerations(await openStage(t, { base }), programs)
    if (wanted !== undefined) await recordResults(base, programs, outcomes)
    for (const { name } of programs) {
      const outcome = outcomes.get(name)
      const isRefused =
        outcome?.outcome === 'refused' && (wanted !== undefined || withoutRights.test(outcome.reason))
      t.ok(outcome?.outcome === 'goes-on' || isRefused, `${name}: ${JSON.stringify(outcome)}`)
    }
  })
}
