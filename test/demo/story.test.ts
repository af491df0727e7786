import { PassThrough } from 'node:stream'
import t from 'tap'
import { inWords, Story } from '../../demo/story.ts'

const escape = '\u001B'

function told(isTTY: boolean, tell: (story: Story) => void): string {
  const out = Object.assign(new PassThrough(), { isTTY })
  tell(new Story(out))
  return String(out.read())
}

const everything = (story: Story) => {
  story.headline('what it is about')
  story.chapter('first')
  story.say('something happened')
  story.quote('pod', 'step 1')
  story.diff(['+came', '-went', ' stayed'])
  story.table([['name', '1 ms', 'meaning']])
  story.end({ lostSteps: 0 })
}

t.test('a terminal gets colours, a file or a pipe none', async (t) => {
  t.match(told(true, everything), escape)
  t.notMatch(told(false, everything), escape)
})

t.test('the last line is the result as JSON, on a terminal too', async (t) => {
  for (const isTTY of [true, false])
    t.equal(told(isTTY, everything).trimEnd().split('\n').at(-1), '{"lostSteps":0}')
})

t.test('long sentences are broken between words, long lines of a difference are cut', async (t) => {
  const long = Array.from({ length: 60 }, () => 'word').join(' ')
  const said = told(false, (story) => story.say(long))
  const compared = told(false, (story) => story.diff([`+${long}`]))
  for (const line of [...said.split('\n'), ...compared.split('\n')]) t.ok(line.length <= 110, line)
  t.equal(said.trim().replaceAll(/\s+/g, ' '), long)
  t.match(compared, /^ {3}\+word .*…\n$/)
})

t.test('sizes are told in the unit that a person would choose', async (t) => {
  t.same([0, 999, 143_500_000, 2_000_000_000].map(inWords), ['0 bytes', '999 bytes', '143.5 MB', '2.0 GB'])
})
