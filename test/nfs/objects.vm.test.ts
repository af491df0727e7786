/** Objects in folders on real NFS mounts, of versions 4.2 and 3: the suite, and two nodes that put at once. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createDirectoryObjects } from '../../src/objects/directory.ts'
import { all, conformance } from '../objects/conformance.ts'

const never = { signal: new AbortController().signal }
const rounds = 15

// epochs.vm.test.ts may have started it in the same guest.
if (!existsSync('/mnt/a-4'))
  execFileSync('sh', [join(import.meta.dirname, 'server.sh'), '/var/tmp/nfs-export', 'a', 'b'], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })

for (const version of ['4', '3']) {
  const [a, b] = (['a', 'b'] as const).map((node) =>
    createDirectoryObjects({ name: node, path: `/mnt/${node}-${version}/objects-${version}` }),
  )
  if (a === undefined || b === undefined) throw new Error('there are two nodes')

  t.test(`NFSv${version} does as every store of objects`, async (t) => {
    conformance(t, () => Promise.resolve({ objects: a, conditional: true }))
  })

  t.test(`NFSv${version}: of two nodes that put with ifAbsent at once, one wins`, async (t) => {
    for (let round = 0; round < rounds; round++) {
      const key = `race/${round}`
      const outcomes = await Promise.all(
        [a, b].map((node, index) =>
          node.put(key, [Buffer.from(`node ${index}`)], { ...never, ifAbsent: true }).then(
            () => `node ${index}`,
            (error: { code?: string }) => error.code,
          ),
        ),
      )
      const winners = outcomes.filter((outcome) => outcome !== 'object-exists')
      // The one that lost may have looked before, and remember for some seconds that nothing was there.
      const seen = (await (winners[0] === 'node 0' ? a : b).get(key, never)).toString()
      t.same(winners, [seen], `round ${round}`)
    }
    t.equal((await all(a.list('race/', never))).length, rounds)
  })
}
