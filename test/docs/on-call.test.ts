import t from 'tap'
import { errorCodes } from '../../src/errors.ts'
import { guardReasons } from '../../webhook/guard/reasons.ts'
import { skipReasons } from '../../webhook/skip-reasons.ts'
import { codes, filesUnder, firstCodes, read, rows, section } from './documents.ts'

const onCall = read('docs/on-call.md')
const sidecarSources = filesUnder('sidecar').filter((path) => path.endsWith('.ts'))
const launcherSources = filesUnder('launcher').filter((path) => path.endsWith('.c'))

/** The members of a union of texts, such as `export type RefusalReason = 'not-running' | …`. */
function unionOf(path: string, type: string): string[] {
  const body = new RegExp(`export type ${type} =((?:\\s|/\\*\\*.*\\*/|\\||'[a-z-]+')+)`).exec(read(path))?.[1]
  const members = [...(body ?? '').matchAll(/'([a-z-]+)'/g)].map((match) => match[1] ?? '')
  if (members.length === 0) throw new Error(`${path} has no union ${type}`)
  return members
}

/** Reasons that are written where they arise: `reason: 'store-failed'`. */
function writtenReasons(paths: string[]): string[] {
  return paths.flatMap((path) =>
    [...read(path).matchAll(/reason: '([a-z-]+)'/g)].map((match) => match[1] ?? ''),
  )
}

t.test(
  'every reason why a pod is not injected is explained, with what becomes of a pod that asked',
  async (t) => {
    const table = rows(section(onCall, '## The pod was not injected'))
    const told = table.map(([reason = '', asked = '']) => [codes(reason)[0], asked] as const)
    const known = Object.entries(skipReasons).map(
      ([reason, { whenAsked }]) => [reason, whenAsked === 'refuse' ? 'refused' : 'admitted'] as const,
    )
    t.same(Object.fromEntries(told), Object.fromEntries(known))
    t.equal(told.length, known.length, 'each once')
  },
)

t.test('every reason why the guard denies is explained, and no other', async (t) => {
  const told = firstCodes(section(onCall, '## A request was denied by the guard'))
  t.same(told.sort(), Object.keys(guardReasons).sort())
})

t.test('every error code is explained, and no other', async (t) => {
  t.same(firstCodes(section(onCall, '## Errors, by code')).sort(), Object.keys(errorCodes).sort())
})

t.test('every reason why a checkpoint is passed over or not taken is explained, and no other', async (t) => {
  const passedOver = firstCodes(section(onCall, '## A checkpoint was passed over'))
  const notTaken = firstCodes(section(onCall, '## A checkpoint was not taken'))
  const rejections = unionOf('src/restore-choice.ts', 'RejectionReason')
  const refusals = unionOf('sidecar/container/state.ts', 'RefusalReason')
  t.same(
    rejections.filter((reason) => !passedOver.includes(reason)),
    [],
  )
  t.same(
    refusals.filter((reason) => !notTaken.includes(reason)),
    [],
  )
  const written = writtenReasons(sidecarSources)
  t.ok(written.length > 5, 'reasons are found in the sources')
  const explained = new Set([...passedOver, ...notTaken, ...Object.keys(errorCodes)])
  t.same(
    written.filter((reason) => !explained.has(reason)),
    [],
    'explained',
  )
  const real = new Set([...rejections, ...refusals, ...written])
  t.same(
    [...passedOver, ...notTaken].filter((reason) => !real.has(reason)),
    [],
    'and real',
  )
})

t.test('the log lines that want a person are those of the program', async (t) => {
  const sources = [...sidecarSources, ...launcherSources].map(read).join('\n')
  const lines = firstCodes(section(onCall, '## Log lines that want a person'))
  t.ok(lines.length > 5)
  t.same(
    // The launcher's end with what varies.
    lines.filter((line) => !sources.includes(`'${line}'`) && !sources.includes(`warn("${line}: `)),
    [],
  )
})
