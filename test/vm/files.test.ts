import t from 'tap'
import { chosenFiles, everyday, guestOnly, seldom } from './files.ts'

t.test(
  'what needs the guest is in every choice of files but a choice by name, and what is too long for every day',
  async (t) => {
    t.ok(guestOnly().length > 0)
    for (const choice of ['', 'all'])
    t.same(guestOnly().filter((file) => !chosenFiles(choice).includes(file)), choice === 'all' ? [] : seldom, choice) // prettier-ignore
  },
)

t.test('whatever runs pods runs in the guest as well, where all is asked for', async (t) => {
  const all = chosenFiles('all')
  for (const file of [...everyday, 'test/harness/test/security.test.ts']) t.ok(all.includes(file), file)
  t.equal(new Set(all).size, all.length)
})

t.test('files can be named, and all that are not there are told at once', async (t) => {
  t.same(chosenFiles(' test/e2e/state.test.ts  test/e2e/lineage.test.ts'), ['test/e2e/state.test.ts', 'test/e2e/lineage.test.ts']) // prettier-ignore
  t.throws(
    () => chosenFiles('test/e2e/no.test.ts test/no.test.ts'),
    /test\/e2e\/no\.test\.ts, test\/no\.test\.ts/,
  )
})
