/**
 * What the webhook answers to each recorded review, by either path, against golden files. After a change that is
 * meant: `REPRIEVE_GOLDEN=write tap test/webhook/golden.test.ts`, and read the difference.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { admit, type Admission } from '../../webhook/admit.ts'
import type { OptedInBy } from '../../webhook/decide.ts'
import type { Entrypoints } from '../../webhook/entrypoints.ts'
import { recorded, recordedReviews, sampleConfig } from './admission-fixtures.ts'

const folder = new URL('../fixtures/golden/', import.meta.url)
const writing = process.env.REPRIEVE_GOLDEN === 'write'
const config = sampleConfig()
const paths: OptedInBy[] = ['pod', 'namespace']

/** What a registry would have said of the image of the recorded pods that give no command. */
const command = { entrypoint: ['/usr/bin/tini', '--'], cmd: ['python3', 'nightly.py', '--out=$(DATE)'] }
const lookedUp: Entrypoints = new Map([['main', { known: true, command }]])

t.test('each recorded review gets the answer on record', async (t) => {
  mkdirSync(folder, { recursive: true })
  const reviews = recordedReviews()
  t.ok(reviews.length >= 13, `${reviews.length} reviews`)
  for (const { name, request } of reviews)
    for (const optedInBy of paths)
      t.same(...compared(`${name}.${optedInBy}`, admit(request, optedInBy, config)))
  const { request } = recorded('create-cronjob-pod-no-command')
  t.same(
    ...compared(
      'create-cronjob-pod-no-command.looked-up',
      admit(request, 'pod', config, { entrypoints: lookedUp }),
    ),
  )
  t.equal(readdirSync(folder).length, reviews.length * paths.length + 1, 'no golden file is left over')
})

/** What is given, what is on record, and the name of the two. */
function compared(name: string, { response, decision }: Admission): [object, object, string] {
  const { patch, ...rest } = response
  const operations =
    patch === undefined ? [] : (JSON.parse(Buffer.from(patch, 'base64').toString()) as unknown[])
  const given = { outcome: decision.outcome, response: rest, operations }
  const file = new URL(`${name}.json`, folder)
  if (writing) writeFileSync(file, `${JSON.stringify(given, null, 2)}\n`)
  return [given, JSON.parse(readFileSync(file, 'utf8')) as object, name]
}
