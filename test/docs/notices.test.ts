import t from 'tap'
import { explainAnswers } from '../../sidecar/notices/answers.ts'
import { read, rows, section } from './documents.ts'

const told = section(read('docs/notices.md'), '## What is done')

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
