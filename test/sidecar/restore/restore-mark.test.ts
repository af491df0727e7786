import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import t from 'tap'
import type { EventLog } from '../../../src/log.ts'
import { clearRestoreMark, markRestore } from '../../../sidecar/restore/restore-mark.ts'

t.test('each restore has an id of its own, and a start from the beginning has none', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'mark-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const lines: string[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(line) }) as unknown as EventLog
  const mark = async () => {
    await markRestore(folder, 'the-checkpoint', log)
    return JSON.parse(readFileSync(join(folder, 'restored'), 'utf8')) as { id: string; checkpoint: string }
  }
  const [one, other] = [await mark(), await mark()]
  t.equal(one.checkpoint, 'the-checkpoint')
  t.not(one.id, other.id)
  t.same(readdirSync(folder), ['restored'])
  await clearRestoreMark(folder)
  await clearRestoreMark(folder)
  t.notOk(existsSync(join(folder, 'restored')))
  t.same(lines, [])
  await markRestore(`${folder}/missing`, 'x', log)
  t.match(lines[0], /restore\.not_marked/, 'a mark that cannot be written stops no restore')
})
