/**
 * What the webhook answers to each recorded review, by either path, against golden files. After a change that is
 * meant: `REPRIEVE_GOLDEN=write tap test/webhook/golden.test.ts`, and read the difference.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { admit } from '../../webhook/admit.ts'
import type { OptedInBy } from '../../webhook/decide.ts'
import { recordedReviews, sampleConfig } from './admission-fixtures.ts'

const folder = new URL('../fixtures/golden/', import.meta.url)
const writing = process.env.REPRIEVE_GOLDEN === 'write'
const config = sampleConfig()
const paths: OptedInBy[] = ['pod', 'namespace']

t.test('each recorded review gets the answer on record', async (t) => {
  mkdirSync(folder, { recursive: true })
  const reviews = recordedReviews()
  t.ok(reviews.length >= 13, `${reviews.length} reviews`)
  for (const { name, request } of reviews)
    for (const optedInBy of paths) {
      const { response, decision } = admit(request, optedInBy, config)
      const { patch, ...rest } = response
      const operations =
        patch === undefined ? [] : (JSON.parse(Buffer.from(patch, 'base64').toString()) as unknown[])
      const given = { outcome: decision.outcome, response: rest, operations }
      const file = new URL(`${name}.${optedInBy}.json`, folder)
      if (writing) writeFileSync(file, `${JSON.stringify(given, null, 2)}\n`)
      t.same(given, JSON.parse(readFileSync(file, 'utf8')), `${name}, by ${optedInBy}`)
    }
  t.equal(readdirSync(folder).length, reviews.length * paths.length, 'no golden file is left over')
})
