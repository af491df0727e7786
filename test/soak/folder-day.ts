/**
 * The looks into the folder of notices that so many hours hold, without the waiting between them: `folder-day.ts FOLDER HOURS`. Every
 * hour a notice comes and goes, and so does a file that is none.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { NoticeFolder } from '../../sidecar/triggers/notices/notice-folder.ts'
import { quietParts, teller } from './day.ts'

const [path = '', hours = ''] = process.argv.slice(2)
const looksAnHour = 3_600
const { log, book, notices } = await quietParts()
const tell = teller(book)
const over = Promise.withResolvers<void>()
let looks = 0

const folder = new NoticeFolder({
  path,
  containers: ['app'],
  pace: { watchedMs: 0, unwatchedMs: 0 },
  book,
  log,
  hear: (...said) => {
    notices.hear(...said)
    looks++
    const second = looks % looksAnHour
    if (second === 900) writeFileSync(`${path}/notice.json`, '{"kind": "machine-terminated", "inMs": 120000}')
    if (second === 1_000) writeFileSync(`${path}/half.json`, '{"kind": ')
    if (second === 1_800) for (const name of ['notice', 'half']) rmSync(`${path}/${name}.json`)
    if (second === 0) tell()
    if (looks === Number(hours) * looksAnHour) over.resolve()
  },
})
const alive = setInterval(() => undefined, 3_600_000)
await folder.start()
await over.promise
folder.stop()
tell()
clearInterval(alive)
