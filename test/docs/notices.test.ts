import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { Aws } from '../../sidecar/triggers/clouds/aws.ts'
import { Azure } from '../../sidecar/triggers/clouds/azure.ts'
import { Gcp } from '../../sidecar/triggers/clouds/gcp.ts'
import { renderMetrics } from '../../sidecar/report/metrics.ts'
import { explainAnswers } from '../../sidecar/triggers/notices/answers.ts'
import { codes, firstCodes, read, root, rows, section } from './documents.ts'

const document = read('docs/notices.md')
const told = section(document, '## What is done')

/** A document's lines are wrapped; the program's are not. */
const flat = (text: string) => text.replaceAll(/\s+/g, ' ')

t.test('the table of what is done for which notice is that of the program', async (t) => {
  t.ok(rows(explainAnswers()).length > 5)
  t.same(rows(told), rows(explainAnswers()))
})

t.test('and so is what the answers mean', async (t) => {
  const sentences = explainAnswers().split('\n').filter((line) => line !== '' && !line.startsWith('|')) // prettier-ignore
  t.ok(sentences.length > 4)
  for (const sentence of sentences) t.ok(flat(told).includes(sentence), sentence)
})

t.test('which the sidecar prints when it is asked to explain', async (t) => {
  const argv = [join(root, 'sidecar/main.ts'), '--explain']
  t.equal(execFileSync(process.execPath, argv, { encoding: 'utf8', timeout: 20_000 }), explainAnswers())
})

t.test('every source is told, with how often it is asked', async (t) => {
  const watches = [new Aws(), new Gcp(), new Azure()].flatMap((cloud) => cloud.watches())
  const table = rows(section(document, '## Sources'))
  t.same(table.map(([source = '']) => codes(source)[0]).toSorted(), watches.map(({ source }) => source).toSorted()) // prettier-ignore
  for (const { source, everyMs } of watches) {
    const pace = table.find(([name]) => name === `\`${source}\``)?.[1] ?? ''
    if (source.startsWith('gcp/')) t.match(pace, /waits for the change/)
    else t.equal(paceMs(pace), everyMs, source)
  }
})

/** "every 5 s, as AWS recommends", "every second". */
function paceMs(text: string): number {
  return Number(/^every (?:(\d+) s|second)\b/.exec(text)?.[1] ?? 1) * 1_000
}

const newest = () => ({ at: 1, cpuMs: 1 })

t.test('every metric of notices and checkpoints is told, and no other', async (t) => {
  const notice = { source: 's', reachable: true, lastPollAt: '2026-03-04', lastAnswerAt: '2026-03-04', answers: 1, failures: 1, lastFailure: '', noticesSeen: 1, lead: { askedMs: 1, usedMs: 1 } } // prettier-ignore
  const entry = { trigger: 't', reason: '', askedAt: '', leadAskedMs: 1, leadTakenMs: 1, outcome: 'taken', detail: '' } as const // prettier-ignore
  const counts = [{ container: 'c', trigger: 't', outcome: 'taken', count: 1 }] as const
  const containers = [{ container: 'c', restoredFrom: undefined, rejected: [{ id: '', reason: 'damaged', detail: '' } as const] }] // prettier-ignore
  const text = renderMetrics({ containers, triggers: ['t'], newest, sources: [notice], counts, last: [['c', entry]] }) // prettier-ignore
  // With the labels' names, as the document writes them.
  const samples = text.split('\n').filter((line) => /^[a-z]/.test(line)) // prettier-ignore
  const written = new Set(samples.map((line) => line.replace(/ \S+$/, '').replaceAll(/="[^"]*"/g, '')))
  t.ok(written.size > 5)
  t.same(firstCodes(section(document, '## Metrics')).toSorted(), [...written].toSorted())
})
