import { symlinkSync } from 'node:fs'
import t from 'tap'
import { exists } from '../../src/exists.ts'

t.test('a path exists where it leads to something', async (t) => {
  const folder = t.testdir({ file: '' })
  symlinkSync('file', `${folder}/link`)
  symlinkSync('nothing', `${folder}/dangling`)
  for (const name of ['', 'file', 'link']) t.equal(await exists(`${folder}/${name}`), true, name)
  for (const name of ['nothing', 'file/below', 'dangling'])
    t.equal(await exists(`${folder}/${name}`), false, name)
})

t.test('a path that cannot be looked at is no path that is missing', async (t) => {
  await t.rejects(exists(`/${'long/'.repeat(1_000)}`), { code: 'ENAMETOOLONG' })
})
