import t from 'tap'
import { answerLimits, readAnswer } from '../../../../sidecar/triggers/clouds/http-answer.ts'

const head = 'HTTP/1.1 200 OK\r\nServer: x\r\nETag: one\r\netag: two\r\n'
const whole: [string, string, string][] = [
  ['by its length', `${head}Content-Length: 5\r\n\r\nhello`, 'hello'],
  ['by its length, with more behind it', `${head}content-length: 5\r\n\r\nhello, and more`, 'hello'],
  ['in chunks', `${head}Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n`, 'hello'],
  ['in letters of two bytes', `${head}content-length: 2\r\n\r\n${Buffer.from('ä').toString('latin1')}`, 'ä'],
  ['without a body', 'HTTP/1.1 204 No Content\r\n\r\n', ''],
  ['of length 0', `${head}content-length: 0\r\n\r\n`, ''],
]
for (const [how, text, body] of whole)
  t.test(`reads an answer ${how}, and waits for it at every byte`, async (t) => {
    const bytes = Buffer.from(text, 'latin1')
    const answer = readAnswer(bytes, false)
    t.equal(answer?.body, body)
    const end = bytes.indexOf(Buffer.from(body)) + Buffer.byteLength(body)
    const needed = how === 'in chunks' ? bytes.length - 2 : how.includes('more') ? end : bytes.length
    for (let at = 0; at < needed; at++) t.equal(readAnswer(bytes.subarray(0, at), false), undefined, `${at}`)
  })

t.test('a body without a length goes to the end of the connection', async (t) => {
  const bytes = Buffer.from('HTTP/1.0 200\r\n\r\nhello')
  t.equal(readAnswer(bytes, false), undefined)
  t.equal(readAnswer(bytes, true)?.body, 'hello')
})

t.test('of two headers of one name the first counts', async (t) => {
  const answer = readAnswer(Buffer.from(`${head}content-length: 0\r\n\r\n`), false)
  t.equal(answer?.headers.get('etag'), 'one')
  t.equal(answer?.status, 200)
})

const bad: [string, string, boolean, string][] = [
  ['something else', 'SSH-2.0-OpenSSH_9.2', false, 'garbage'],
  ['zeros', '\0\0', false, 'garbage'],
  ['another version', 'HTTP/2 200 OK\r\n\r\n', false, 'garbage'],
  ['no status', 'HTTP/1.1 OK\r\n\r\n', false, 'garbage'],
  ['a header without a name', 'HTTP/1.1 200 OK\r\n: x\r\n\r\n', false, 'garbage'],
  ['half a head', 'HTTP/1.1 200 OK\r\nx: ', true, 'garbage'],
  ['half a body', `${head}content-length: 5\r\n\r\nhel`, true, 'garbage'],
  ['half a chunk', `${head}transfer-encoding: chunked\r\n\r\n5\r\nhel`, true, 'garbage'],
  ['a length of words', `${head}content-length: five\r\n\r\nhello`, false, 'garbage'],
  ['a negative length', `${head}content-length: -5\r\n\r\nhello`, false, 'garbage'],
  ['a chunk of words', `${head}transfer-encoding: chunked\r\n\r\nfive\r\n`, false, 'garbage'],
  [
    'a chunk line without end',
    `${head}transfer-encoding: chunked\r\n\r\n${'1'.repeat(300)}`,
    false,
    'garbage',
  ],
  ['another encoding', `${head}transfer-encoding: gzip\r\n\r\n`, false, 'garbage'],
  ['a large length', `${head}content-length: ${answerLimits.bodyBytes + 1}\r\n\r\n`, false, 'too-large'],
  ['a large chunk', `${head}transfer-encoding: chunked\r\n\r\nfffffff\r\n`, false, 'too-large'],
  ['a large body', `HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(answerLimits.bodyBytes + 1)}`, false, 'too-large'],
  ['a large head', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(answerLimits.headBytes)}`, false, 'too-large'],
  [
    'a large head that ends',
    `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(answerLimits.headBytes)}\r\n\r\n`,
    false,
    'too-large',
  ],
]
for (const [what, text, ended, kind] of bad)
  t.test(`refuses ${what}`, async (t) => {
    t.throws(() => readAnswer(Buffer.from(text, 'latin1'), ended), { name: 'AnswerProblem', kind })
  })
