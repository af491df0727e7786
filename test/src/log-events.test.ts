import { readFileSync, readdirSync } from 'node:fs'
import t from 'tap'
import { logEvents } from '../../src/log-events.ts'
import type { EventLog } from '../../src/log.ts'

const root = new URL('../../', import.meta.url)
const sourcesOf = (folder: string) =>
  readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && name !== 'log-events.ts')
    .map((name) => readFileSync(new URL(`${folder}/${name}`, root), 'utf8'))

t.test('every code of the table is reported by some line of the program', async (t) => {
  const sources = ['src', 'webhook', 'certs', 'sidecar', 'agent'].flatMap(sourcesOf).join('\n')
  t.same(
    Object.keys(logEvents).filter((code) => !sources.includes(`'${code}'`)),
    [],
  )
})

t.test('the table is sorted by code', async (t) => {
  t.same(Object.keys(logEvents), Object.keys(logEvents).sort())
})

t.test('a code names a subject and what happened to it, its meaning is a sentence', async (t) => {
  for (const [code, meaning] of Object.entries(logEvents)) {
    t.match(code, /^[a-z]+(?:_[a-z]+)*\.[a-z]+(?:_[a-z]+)*$/)
    t.match(meaning, /^[A-Z].*\.$/)
  }
})

t.test('the type of a logger refuses a line without a code of the table', async (t) => {
  // `make check` compiles this; each expectation fails where the line below it is accepted.
  const lines: ((log: EventLog) => void)[] = [
    (log) => log.info({ event: 'review.answered', uid: 'x' }, 'answered a review'),
    (log) => log.child({ pod: 'p' }).error({ event: 'review.failed_open' }, 'failed open'),
    // @ts-expect-error a line without fields
    (log) => log.info('answered a review'),
    // @ts-expect-error fields without a code
    (log) => log.warn({ uid: 'x' }, 'answered a review'),
    // @ts-expect-error an unknown code
    (log) => log.error({ event: 'review.answerd' }, 'answered a review'),
    // @ts-expect-error the logger of a child obeys as well
    (log) => log.child({ pod: 'p' }).info({ pod: 'p' }, 'answered a review'),
  ]
  t.equal(lines.length, 6)
})
