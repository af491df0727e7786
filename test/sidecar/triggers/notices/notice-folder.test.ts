import { execFileSync } from 'node:child_process'
import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { NoticeFolder } from '../../../../sidecar/triggers/notices/notice-folder.ts'
import type { Notice } from '../../../../sidecar/triggers/notices/notice.ts'
import { SourceBook } from '../../../../sidecar/triggers/notices/source-book.ts'
import { shortFolder } from '../../stand-ins.ts'
import { until } from '../../../until.ts'

/** Nothing but inotify tells of what is written. */
const toldOnly = { watchedMs: 86_400_000, unwatchedMs: 1_000 }

async function watch(t: Test, pace = { watchedMs: 200, unwatchedMs: 200 }) {
  const path = `${shortFolder(t)}/notices`
  const lines: { msg: string; file: string; why: string }[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[0]) }) // prettier-ignore
  const book = new SourceBook()
  const heard: { notices: Notice[]; turns: number } = { notices: [], turns: 0 }
  const hear = (_: string, notices: Notice[]) => {
    heard.notices = notices
    heard.turns++
  }
  const folder = new NoticeFolder({ path, containers: ['app'], hear, book, log, pace })
  t.teardown(() => folder.stop())
  await folder.start()
  /** As one should: under another name first. */
  const put = (name: string, text: string) => {
    writeFileSync(`${path}/.${name}`, text)
    renameSync(`${path}/.${name}`, `${path}/${name}`)
  }
  const turns = async (count: number) => {
    const from = heard.turns
    await until(`${count} looks`, () => heard.turns >= from + count)
  }
  const ids = () => heard.notices.map(({ id }) => id.split(' ')[0])
  return { path, lines, book, heard, folder, put, turns, ids }
}

t.test('a file that appears is a notice, and one that is removed withdraws it', async (t) => {
  const { path, put, ids, turns, heard, book } = await watch(t)
  put('b.json', '{"inMs": 30000}')
  put('a.json', '{}')
  await until('both', () => heard.notices.length === 2)
  t.same(ids(), ['a.json', 'b.json'])
  const before = heard.notices
  await turns(1)
  t.same(heard.notices, before, 'the same, for as long as it lies there')
  rmSync(`${path}/b.json`)
  await until('one to be withdrawn', () => heard.notices.length === 1)
  put('a.json', '{"reason": "anew"}')
  await until('the new one', () => heard.notices[0]?.detail === 'anew')
  t.not(heard.notices[0]?.id, before[0]?.id, 'a file that is written anew is another notice')
  t.match(book.states, [{ source: 'folder', reachable: true }])
})

t.test('what is no small regular file is not read, and told once', async (t) => {
  const { path, put, lines, turns, heard, ids } = await watch(t)
  put('huge.json', JSON.stringify({ reason: 'x'.repeat(5_000) }))
  symlinkSync('/etc/passwd', `${path}/link.json`)
  execFileSync('mkfifo', [`${path}/pipe.json`])
  mkdirSync(`${path}/folder.json`)
  put('good.json', '{}')
  put('notes.txt', 'not ours')
  await until('the good one', () => heard.notices.length === 1)
  await turns(2)
  t.same(ids(), ['good.json'])
  t.same(lines.map(({ file }) => file).toSorted(), ['folder.json', 'huge.json', 'link.json', 'pipe.json'])
})

t.test('half a file is waited for, and garbage that stays is told', async (t) => {
  const { path, lines, turns, heard } = await watch(t)
  writeFileSync(`${path}/slow.json`, '{"reason": "fan ')
  await turns(1)
  t.same([heard.notices, lines], [[], []], 'it is being written')
  writeFileSync(`${path}/slow.json`, '{"reason": "fan failed"}')
  await until('the whole', () => heard.notices[0]?.detail === 'fan failed')
  const { notices } = heard
  writeFileSync(`${path}/slow.json`, '{"reason": ')
  await turns(1)
  t.same(heard.notices, notices, 'half of what is written anew withdraws nothing')
  utimesSync(`${path}/slow.json`, new Date(0), new Date(0))
  await until('the garbage to be told', () => lines.length === 1)
  t.same(heard.notices, [])
  t.match(lines, [{ file: 'slow.json', msg: 'a notice could not be read' }])
})

t.test('a flood of files is bounded', async (t) => {
  const { path, put, lines, heard } = await watch(t)
  for (let count = 0; count < 150; count++) put(`${String(count).padStart(3, '0')}.json`, '{}')
  await until('the first hundred', () => heard.notices.length === 100)
  await until('somebody to be told', () => lines.length > 0)
  t.match(lines, [{ why: /more than 100/ }])
  rmSync(path, { recursive: true })
  await until('the folder to be gone', () => heard.notices.length === 0)
  put('a.json', '{}')
  await until('and there again', () => heard.notices.length === 1)
})

t.test('what is written is heard of by inotify, in a folder that was made anew as well', async (t) => {
  const { path, put, heard, ids } = await watch(t, toldOnly)
  put('a.json', '{}')
  await until('the first', () => heard.notices.length === 1)
  writeFileSync(`${path}/b.json`, '{"reason": "half')
  writeFileSync(`${path}/b.json`, '{"reason": "whole"}')
  await until('the second', () => heard.notices.length === 2)
  rmSync(`${path}/a.json`)
  await until('the first to be withdrawn', () => ids().join() === 'b.json')
  rmSync(path, { recursive: true })
  await until('all to be withdrawn', () => heard.notices.length === 0)
  put('c.json', '{}')
  await until('the third', () => heard.notices.length === 1)
})

t.test('what was half when it was seen is looked at again soon', async (t) => {
  const { path, heard } = await watch(t, toldOnly)
  writeFileSync(`${path}/a.json`, '{"reason": "half')
  const { turns } = heard
  await until('it to be seen', () => heard.turns > turns)
  const later = heard.turns
  await until('it to be looked at again', () => heard.turns > later)
})

t.test('another file that never was readable keeps none that is being written waiting', async (t) => {
  const { path, heard, folder } = await watch(t, toldOnly)
  // Read in this order, and old enough to be given up.
  writeFileSync(`${path}/z.json`, 'nonsense')
  utimesSync(`${path}/z.json`, 1_700_000_000, 1_700_000_000)
  writeFileSync(`${path}/a.json`, '{"reason": "half')
  await until('both to be seen', () => heard.turns > 1)
  await new Promise((resolve) => setTimeout(resolve, 200))
  const later = heard.turns
  await until('it to be looked at again', () => heard.turns > later)
  folder.stop()
})

t.test('what is written without a pause keeps nothing from being heard', async (t) => {
  const { path, put, heard } = await watch(t, toldOnly)
  const busy = setInterval(() => writeFileSync(`${path}/log.txt`, String(Date.now())), 5)
  t.teardown(() => clearInterval(busy))
  await new Promise((resolve) => setTimeout(resolve, 100))
  put('a.json', '{}')
  await until('the notice', () => heard.notices.length === 1)
})
