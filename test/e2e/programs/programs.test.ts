/**
 * The real programs of every day (catalogue.ts) for three generations. With REPRIEVE_PROGRAMS=all, or with names of groups or programs,
 * those, and what is found is recorded for the table (`make programs`).
 */
import t from 'tap'
import { realProgramsImage, torchImage } from '../../images/debian.ts'
import { openStage } from '../support.ts'
import { groups, packagesOf } from './catalogue.ts'
import type { RealProgram } from './program.ts'
import { runGenerations } from './generations.ts'
import { recordResults } from './results.ts'

/** On a machine without CAP_SYS_RESOURCE the processes of another user cannot be saved. */
const withoutRights = /Can't get rlimit/
const wanted = process.env.REPRIEVE_PROGRAMS?.split(',')
const chosen = wanted ?? ['every-day']

for (const [group, all] of Object.entries<readonly RealProgram[]>(groups)) {
  const isWanted = (name: string) => chosen.some((word) => word === 'all' || word === group || word === name)
  const programs = all.filter(({ name }) => isWanted(name))
  if (programs.length === 0) continue
  t.test(`programs of the group ${group} go on for three generations, or are refused`, async (t) => {
    const base = group === 'torch' ? await torchImage() : await realProgramsImage(group, packagesOf(all))
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
